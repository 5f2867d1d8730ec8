"""What tasks lm-eval has: an index of its 14 000 YAML files, read once per version and kept.

The files are read as data, without importing lm-eval: names are known, and misspelt ones refused, in milliseconds.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import yaml

from qcompare.settings import Settings
from qcompare.store.moving import replace

CODE = "!function "
"""Begins what stands for a Python function in a definition that is read as data."""
_READING = Lock()


@dataclass(frozen=True)
class Entry:
    """A task, group or tag."""

    kind: Literal["task", "group", "tag"]
    path: str = ""
    """Of its YAML file, below lm-eval's folder of tasks; absolute for files elsewhere; empty for tags."""
    members: tuple[str, ...] = ()
    """Names of a group's tasks and groups, or of the tasks that bear a tag."""
    inline: int = 0
    """Tasks that a group defines itself."""
    output_type: str = ""
    dataset: str = ""
    """Of a task: path of its data set, and its configuration after a colon where it names one."""
    num_fewshot: int = 0
    needs: Literal["", "images or sound", "running code that the model writes"] = ""
    """What keeps a task from being asked as others are."""
    data_files: tuple[str, ...] = ()
    """Data files on this machine that a task names itself."""


@dataclass(frozen=True)
class Definition:
    """A YAML file, read as data."""

    values: Mapping[str, Any]
    """With those of the files that it includes."""
    own: tuple[Mapping[str, Any], ...] = field(repr=False)
    """The values of each file that is not lm-eval's own, as they stand there."""


def tasks_folder() -> Path:
    """Where lm-eval keeps its tasks."""
    found = find_spec("lm_eval")
    assert found and found.origin
    return Path(found.origin).parent / "tasks"


def lm_eval_index() -> dict[str, Entry]:
    """Every name that lm-eval knows. Kept in the home, by lm-eval's version and place."""
    with _READING:  # whoever asks meanwhile waits, and does not read all files too
        return _index()


def is_index_read() -> bool:
    """Whether this process has the index, so that `lm_eval_index` answers at once."""
    return _index.cache_info().currsize > 0


@cache
def _index() -> dict[str, Entry]:
    root = tasks_folder()
    kept = Settings().home / "cache" / "lm_eval" / f"{version('lm_eval')}.json"
    try:
        stored = json.loads(kept.read_text(encoding="utf-8"))
        if stored["root"] == str(root):
            return {name: _entry(values) for name, values in stored["entries"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    entries = read_index(root)
    values = {name: {k: v for k, v in asdict(entry).items() if v} for name, entry in entries.items()}
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft = kept.with_suffix(f".{os.getpid()}.draft")
        draft.write_text(json.dumps({"root": str(root), "entries": values}), encoding="utf-8")
        replace(draft, kept)
    except OSError:  # a home that cannot be written keeps nothing
        pass
    return entries


def _entry(values: dict[str, Any]) -> Entry:
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Entry(**{**values, **lists})


def read_index(root: Path) -> dict[str, Entry]:
    """All names that the YAML files below a folder define; of equal names the first file's, as in lm-eval."""
    read = Reader(root)
    found: dict[str, Entry] = {}
    tagged: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*.yaml"), key=Path.as_posix):
        try:
            values = read.definition(path).values
            name, entry = entry_of(values, path.relative_to(root).as_posix())
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            continue  # no task: settings that others include
        if name in found:
            continue
        found[name] = entry
        if entry.kind == "task":
            for tag in _texts(values.get("tag")):
                tagged.setdefault(tag, []).append(name)
    tags = {tag: Entry("tag", members=tuple(sorted(names))) for tag, names in tagged.items() if tag not in found}
    return found | tags


def entry_of(values: Mapping[str, Any], path: str) -> tuple[str, Entry]:
    """Name and entry of a definition.

    Raises:
        KeyError: it defines neither task nor group.
    """
    if "group" in values and "class" not in values:
        members, inline = _members(values.get("task"))
        return str(values["group"]), Entry("group", path, members, inline)
    kwargs = values.get("dataset_kwargs") or {}
    files = kwargs.get("data_files") if isinstance(kwargs, dict) else None
    dataset, config = values.get("dataset_path"), values.get("dataset_name")
    shown = values.get("num_fewshot")
    return str(values["task"]), Entry(
        "task",
        path,
        output_type=str(values.get("output_type") or ("generate_until" if "class" not in values else "")),
        dataset=":".join(str(part) for part in (dataset, config) if part and not callable(part)),
        num_fewshot=shown if isinstance(shown, int) else 0,
        needs=_needs(values),
        data_files=tuple(_files(files)) if dataset in LOCAL_BUILDERS else (),
    )


LOCAL_BUILDERS = ("json", "csv", "arrow", "parquet", "text")
"""`datasets` builders that read files."""


def _needs(values: Mapping[str, Any]) -> Literal["", "images or sound", "running code that the model writes"]:
    if values.get("doc_to_image") or values.get("doc_to_audio"):
        return "images or sound"
    return "running code that the model writes" if values.get("unsafe_code") else ""


def _members(tasks: Any) -> tuple[tuple[str, ...], int]:
    """The names in a group's list, those of groups within it included, and how many tasks it defines itself."""
    names: list[str] = []
    inline = 0
    for task in tasks if isinstance(tasks, list) else []:
        if isinstance(task, str):
            names.append(task)
        elif isinstance(task.get("task"), list):
            inner, more = _members(task["task"])
            names += inner
            inline += more
        elif "dataset_path" in task:
            inline += 1
        else:
            names.append(str(task.get("task") or task["group"]))
    return tuple(dict.fromkeys(names)), inline


def _files(files: Any) -> Iterator[str]:
    for each in files.values() if isinstance(files, dict) else files if isinstance(files, list) else [files]:
        if isinstance(each, str):
            yield each
        elif isinstance(each, list):
            yield from _files(each)


def _texts(value: Any) -> Sequence[str]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []


class Reader:
    """Reads definitions with what they include; each file once."""

    def __init__(self, root: Path) -> None:
        """`root` is the folder of lm-eval's own tasks."""
        self._root = root
        self._read: dict[Path, Definition] = {}

    def definition(self, path: Path, within: tuple[Path, ...] = ()) -> Definition:
        """A file as data.

        Raises:
            OSError, yaml.YAMLError, ValueError: it, or one that it includes, cannot be read or is no mapping.
        """
        if path not in self._read:
            if path in within:
                raise ValueError(f"{path} includes itself")
            values = yaml.load(path.read_bytes(), _Loader)
            if not isinstance(values, dict):
                raise ValueError(f"{path} holds no 'key: value' lines")
            included = [
                self.definition(Path(os.path.normpath(path.parent / name)), (*within, path))
                for name in _texts(values.get("include"))
            ]
            merged = {key: value for each in included for key, value in each.values.items()}
            own = () if path.is_relative_to(self._root) else (values,)
            self._read[path] = Definition(
                {**merged, **{key: value for key, value in values.items() if key != "include"}},
                (*(part for each in included for part in each.own), *own),
            )
        return self._read[path]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain data; a function is kept as text."""


_Loader.add_constructor("!function", lambda loader, node: CODE + str(loader.construct_scalar(node)))
