"""From a study file, or plain values, to a `Study`; an error says in one line what is wrong."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from qcompare.errors import InvalidStudy, unknown
from qcompare.study.frozen import Frozen
from qcompare.study.prompts import TAG
from qcompare.study.refusals import refusal
from qcompare.study.spec import STORED, Calibration, HeldOut, Study
from qcompare.study.task import is_file
from qcompare.words import Message, gettext_noop

MAX_STUDY_BYTES = 1_000_000
"""A study file larger than this is not one."""
MAX_VALUES, MAX_DEPTH = 100_000, 32
"""Of a study, where aliases of YAML count as often as they are used, and of lists and mappings in each other."""


def parse_study(values: Any, source: str | Message | None = "study", stored: bool = False) -> Study:
    """Check plain values and make a `Study` of them.

    Args:
        source: where they come from, for the error; None where that says nothing.
        stored: they were accepted once; tasks that have gone since are no error.

    Raises:
        InvalidStudy: one line naming the field, what is wrong and what is allowed.
    """
    if not isinstance(values, dict):
        raise InvalidStudy(
            "{source}: is not a study: expected 'key: value' lines such as 'model: demo'", source=source
        )
    try:
        return Study.model_validate(values, context=STORED if stored else None)
    except ValidationError as error:
        if source is None:
            raise InvalidStudy(_one_line(error)) from None
        raise InvalidStudy("{source}: {problem}", source=source, problem=_one_line(error)) from None


def load_study(path: Path, check: Callable[[Any], None] = lambda values: None) -> Study:
    """Read a study file.

    Args:
        check: refuses values, by raising, before they are looked at.

    Raises:
        InvalidStudy: the file is missing, too large, not YAML, or asks for something impossible.
    """
    values = _beside(parse_yaml(_text(path), str(path)), path)
    check(values)
    return parse_study(values, str(path))


def _beside(values: Any, path: Path) -> Any:
    """The values of a study file, with the task files that stand beside it by their full paths."""
    tasks = values.get("tasks") if isinstance(values, dict) else None
    if not isinstance(tasks, list | str):
        return values
    names = [tasks] if isinstance(tasks, str) else tasks
    beside = [path.parent.absolute() / name if isinstance(name, str) and is_file(name) else None for name in names]
    found = [str(file) if file and file.exists() else name for name, file in zip(names, beside, strict=True)]
    return {**values, "tasks": found}


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_STUDY_BYTES:
            raise InvalidStudy(
                "{path}: is {size} MB; a study file has at most 1 MB",
                path=path,
                size=f"{path.stat().st_size / 1e6:.1f}",
            )
        return path.read_text(encoding="utf-8")
    except IsADirectoryError:
        raise InvalidStudy("{path}: is a folder; give a study file (YAML)", path=path) from None
    except OSError as error:
        raise InvalidStudy(
            "{path}: cannot be read ({reason}); give the path of a study file", path=path, reason=error.strerror
        ) from None
    except UnicodeDecodeError:
        raise InvalidStudy("{path}: is not a text file; a study file is YAML in UTF-8", path=path) from None


def load_studies(path: Path, model: str | None = None) -> list[Study]:
    """Read a study file whose `model` may be a list: one study a model, all else the same.

    Args:
        model: takes the place of the file's model or models.

    Raises:
        InvalidStudy: as for `load_study`, or the list is empty.
    """
    values = _beside(parse_yaml(_text(path), str(path)), path)
    models = [model] if model else values.get("model") if isinstance(values, dict) else None
    if not isinstance(values, dict) or not isinstance(models, list):
        return [parse_study(values, str(path))]
    if not models:
        raise InvalidStudy("{path}: model is an empty list: name at least one", path=path)
    return [parse_study({**values, "model": each}, str(path)) for each in models]


def read_study(text: str, source: str = "study") -> Study:
    """Make a `Study` of the text of a study file.

    Raises:
        InvalidStudy: the text is too long, not YAML, or asks for something impossible.
    """
    return parse_study(parse_yaml(text, source), source)


def parse_yaml(text: str, source: str) -> Any:
    """The values of a YAML text, which JSON is too.

    Raises:
        InvalidStudy: the text is too long or not YAML, or stands for more than a study can hold.
    """
    if len(text) > MAX_STUDY_BYTES:
        raise InvalidStudy(
            "{source}: is {size} MB; a study file has at most 1 MB",
            source=source,
            size=f"{len(text) / 1e6:.1f}",
        )
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = Message(" (line {n})", {"n": mark.line + 1}) if mark else ""
        raise InvalidStudy(
            "{source}: is not valid YAML{where}; expected lines such as 'model: demo'", source=source, where=where
        ) from None
    check_extent(values, source)
    return values


def check_extent(values: Any, source: str) -> None:
    """Refuse values that no library can take: a few letters of YAML can stand for any number of them.

    Raises:
        InvalidStudy: they are too many, too deep, hold themselves, or half a character.
    """
    sizes: dict[int, int] = {}

    def size_of(value: Any, depth: int) -> int:
        if isinstance(value, str) and not _is_text(value):
            raise InvalidStudy("{source}: holds characters that are none", source=source)
        if not isinstance(value, list | tuple | dict | set):
            return 1
        if depth == MAX_DEPTH:
            raise InvalidStudy("{source}: is nested too deeply: at most {n} levels", source=source, n=MAX_DEPTH)
        if id(value) not in sizes:
            inner = [*value, *value.values()] if isinstance(value, dict) else value
            sizes[id(value)] = 1 + sum(size_of(each, depth + 1) for each in inner)
        if sizes[id(value)] > MAX_VALUES:
            raise InvalidStudy("{source}: holds too many values: at most {n}", source=source, n=MAX_VALUES)
        return sizes[id(value)]

    size_of(values, 0)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _one_line(error: ValidationError) -> Message:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if not _is_type_tag(part))
    if first["type"] == "extra_forbidden":
        return unknown(gettext_noop("key"), place, _keys_at(first["loc"][:-1]))
    given = Message(", got {given}", {"given": repr(first["input"])[:60]})
    more = len(error.errors()) - 1
    values = {
        "place": place,
        "problem": refusal(first),
        "given": "" if first["type"] == "value_error" or not place else given,
        "more": Message(" (and {n} more)", {"n": more}) if more else "",
    }
    text = gettext_noop("{place}: {problem}{given}{more}") if place else gettext_noop("{problem}{more}")
    return Message(text, values)


def _is_type_tag(part: Any) -> bool:
    return isinstance(part, str) and (part.startswith(("constrained-", TAG)) or part == "none")


def _keys_at(place: Sequence[Any]) -> list[str]:
    types: dict[Any, type[Frozen]] = {"calibration": Calibration, "divergence": HeldOut}
    return list((types.get(place[0], Study) if place else Study).model_fields)
