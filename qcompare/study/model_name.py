"""What a model is called where people read it, from the name or path by which a study knows it."""

import re
from pathlib import PurePath

SAYS_NOTHING = re.compile(
    r"(models?|checkpoints?([-_]\d+)?|outputs?|final|merged|weights|hf|latest|main|best|snapshots|[0-9a-f]{12,64}|\W*)",
    re.IGNORECASE,
)
"""Names of folders that many models lie in."""
CACHED = re.compile(r"models--.+?--(.+)")
"""A repository's folder in the cache of the hub."""


def model_title(model: str, in_config: str = "") -> str:
    """The title of a model: a hub id and `demo` as they are; of a path, the part that says most.

    Args:
        in_config: what the model's own config calls it (`_name_or_path`).

    >>> model_title("org/name@main"), model_title("/data/llama-8b"), model_title("/data/llama-8b/model")
    ('org/name@main', 'llama-8b', 'llama-8b/model')
    >>> model_title("/data/run/final", "org/Llama-8B")
    'Llama-8B'
    """
    if not _is_path(model):
        return model.strip()
    parts = [part for part in PurePath(model.strip()).parts if part.strip("/\\.~")]
    name = parts[-1] if parts else model.strip()
    if not SAYS_NOTHING.fullmatch(name):
        return name
    if cached := next((found[1] for part in parts if (found := CACHED.fullmatch(part))), None):
        return cached
    named = PurePath(in_config.strip().rstrip("/")).name
    if named and not SAYS_NOTHING.fullmatch(named):
        return named
    return "/".join(parts[-2:]) or name


def _is_path(model: str) -> bool:
    text = model.strip()
    return text.startswith(("/", ".", "~")) or text.count("/") > 1
