"""Names of files in a study that a visitor sends: only those that were uploaded, or lie in a folder that is shared.

Whoever may launch a study could otherwise read any file of the server: as questions, as calibration text, as a model.
Symbolic links count as what they lead to.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qcompare.errors import InvalidStudy
from qcompare.models.sources import DEMO, HUB_ID
from qcompare.settings import Settings
from qcompare.study.task import is_file
from qcompare.ui.server.roles import visitor

UPLOADS = ("questions", "checkpoints")
"""Folders of a home that hold what visitors uploaded."""
HUB_FILE = re.compile(HUB_ID.pattern + r"(:[\w./-]+)?")
"""`org/name:file.gguf`."""
WEB = re.compile(r"https?://", re.IGNORECASE)


def check_paths(values: Any) -> None:
    """Refuse a study that names a file which its visitor may not read, or an environment variable.

    Args:
        values: of a study, before they are parsed: parsing looks at the files.

    Raises:
        InvalidStudy: says which.
    """
    if visitor().home is None or not isinstance(values, Mapping):
        return
    for place, name in _names(values):
        if not allowed(name):
            raise InvalidStudy(
                "{place}: files of the server cannot be named here: upload the file, or name a model of the hub; "
                "got {given}",
                place=place,
                given=repr(name)[:60],
            )
    for recipe in _listed(values.get("recipes")):
        if isinstance(recipe, Mapping) and recipe.get("api_key_env"):
            raise InvalidStudy("api_key_env: variables of the server cannot be named here: leave it out")


def allowed(name: object) -> bool:
    """Whether the visitor may name this: no path at all, or one that is open to visitors."""
    home = visitor().home
    if home is None:
        return True
    if not isinstance(name, str) or "\0" in name:
        return False
    text = name.strip()
    if WEB.match(text):
        return True
    if _is_plain(text):
        return not _exists(text)
    shared = Settings().shared_dir
    roots = [*(home / folder for folder in UPLOADS), *([shared] if shared else [])]
    return any(inside(text, root) for root in roots)


def inside(name: str, root: Path) -> bool:
    """The path, its links followed, is an absolute one below a folder. UNC paths and file URLs are none."""
    if name.startswith(("\\\\", "//")) or not Path(name).is_absolute():
        return False
    try:
        return Path(name).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def _is_plain(text: str) -> bool:
    """A name of the hub, of a task, or `demo`: nothing that is looked for in the file system first."""
    if ".." in re.split(r"[/\\:]", text):
        return False
    return text in (DEMO, "auto", "") or bool(HUB_FILE.fullmatch(text)) or not (is_file(text) or ":" in text)


def _exists(text: str) -> bool:
    """A folder of that name in the server's working folder would be taken for the model."""
    try:
        return bool(text) and Path(text.partition("@")[0]).exists()
    except (OSError, ValueError):
        return True


def _names(values: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "model", values.get("model", DEMO)
    for name in _listed(values.get("tasks")):
        yield "tasks", name
    for recipe in _listed(values.get("recipes")):
        if isinstance(recipe, Mapping):
            for key in ("from", "source"):
                if key in recipe:
                    yield "recipes", recipe[key]
        elif isinstance(recipe, str):
            yield "recipes", recipe
        elif hasattr(recipe, "source"):
            yield "recipes", recipe.source
    for place, key in (("calibration", "dataset"), ("divergence", "text")):
        part = values.get(place)
        if isinstance(part, Mapping) and key in part:
            yield f"{place}.{key}", part[key]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
