"""Does a model cache plain keys and values? Answered by its config.json, without loading torch."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qcompare.words import Message

ORDINARY = {"full_attention", "sliding_attention", "chunked_attention"}
"""Kinds of layers that cache keys and values of every token they see."""
LATENT, SHARED = "kv_lora_rank", "num_kv_shared_layers"
RECURRENT = ("mamba_d_state", "block_types", "conv_L_cache")
"""Fields of configs whose layers do not all cache keys and values although their attention can be replaced."""
REPLACEABLE = "_supports_attention_backend = True"
"""In transformers' source of a family: all of its attention goes through `AttentionInterface`."""


def unusual_cache(config: Mapping[str, Any]) -> Message | None:
    """Why a model has no KV cache of plain keys and values that could be rounded; None where it has one."""
    nested = config.get("text_config")
    text = nested if isinstance(nested, dict) else config
    family = str(config.get("model_type", ""))
    sources = _sources(family)

    def value(field: str) -> object:
        return text[field] if field in text else _default(sources, field)

    if value(LATENT):
        return Message("it caches latent vectors (MLA), not keys and values")
    if value(SHARED):
        return Message("its layers share their keys and values")
    strange = {str(kind) for kind in text.get("layer_types") or ()} - ORDINARY
    if strange or any(value(field) for field in RECURRENT):
        kinds = ", ".join(sorted(strange)) or Message("recurrent")
        return Message("it has layers without keys and values ({kinds})", {"kinds": kinds})
    if REPLACEABLE not in sources:
        return Message("its attention cannot be replaced")
    return None


def _default(sources: str, field: str) -> bool:
    """Whether a config that does not name a field has it: configs on disk may leave out what is as usual."""
    found = re.search(rf"^    {field}\b[^=\n]*= *(.+)$", sources, re.MULTILINE)
    return found is not None and found[1] not in ("0", "None")


@cache
def _sources(family: str) -> str:
    """transformers' source of a family; empty where it has none. Importing it would load torch."""
    spec = find_spec("transformers")
    if spec is None or not spec.submodule_search_locations or not family.isidentifier():
        return ""
    folder = Path(spec.submodule_search_locations[0]) / "models" / family
    files = [*folder.glob("configuration_*.py"), *folder.glob("modeling_*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(files))
