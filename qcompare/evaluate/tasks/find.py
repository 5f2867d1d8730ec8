"""Any task by its name: lm-eval's own tasks, groups and tags, YAML files, and files with one's own questions."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from qcompare.errors import InvalidStudy
from qcompare.evaluate.tasks.index import (
    CODE,
    Definition,
    Entry,
    Reader,
    entry_of,
    is_index_read,
    lm_eval_index,
    tasks_folder,
)
from qcompare.evaluate.tasks.questions import SUFFIXES, prepare
from qcompare.settings import Settings
from qcompare.study.task import TASKS, Task, is_file
from qcompare.words import Message, gettext_noop

YAML = (".yaml", ".yml")
TOKENS = {"loglikelihood_rolling": 2000, "generate_until": 400}
"""Tokens per question where nothing is measured, by output type."""
OTHER_TOKENS = 150
CHARACTERS_PER_TOKEN = 4
WRITTEN_TOKENS = 64
"""Of a written answer."""


def find_task(name: str) -> Task:
    """A task that is not in the registry.

    Raises:
        InvalidStudy: there is none of that name; or the file is missing, or not what it should be.
    """
    if is_file(name):
        path = Path(name)
        return _question_file(path) if path.suffix.lower() in SUFFIXES else _task_file(path)
    entry = lm_eval_index().get(name)
    if entry is None:
        raise InvalidStudy(_unknown(name))
    return _task(name, name, entry, lm_eval_index())


def expand(name: str) -> tuple[str, ...]:
    """What a name in a study stands for: a tag for its tasks, as in lm-eval; a folder for the tasks of its files.

    Raises:
        InvalidStudy: as for `find_task`.
    """
    if is_file(name):
        path = Path(name)
        if path.is_dir():
            return tuple(map(str, _top_files(path)))
        if path.suffix.lower() not in (*SUFFIXES, *YAML):
            known = ", ".join((*YAML, *SUFFIXES))
            raise InvalidStudy("{path}: is none of {known}, nor a folder of these", path=name, known=known)
        return (name,)
    entry = lm_eval_index().get(name)
    if entry is None:
        raise InvalidStudy(_unknown(name))
    return entry.members if entry.kind == "tag" else (name,)


def search(text: str, most: int = 30) -> list[tuple[str, Entry]]:
    """The names of lm-eval that hold all words of a text: those that begin with it first, then the shorter ones.

    Of the tasks on offer alone until the index is read, which takes seconds in a new home: it is not waited for.
    """
    words, known = text.lower().split(), lm_eval_index() if is_index_read() else _entries_on_offer()
    found = [name for name in known if words and all(word in name.lower() for word in words)]
    found.sort(key=lambda name: (not name.lower().startswith(words[0]), len(name), name))
    return [(name, known[name]) for name in found[:most]]


@cache
def _entries_on_offer() -> dict[str, Entry]:
    found = {}
    for task in TASKS.values():
        with suppress(InvalidStudy, KeyError):  # of several files
            name, entry = entry_of(read_definition(tasks_folder() / task.yaml).values, task.yaml)
            found[name] = entry
    return found


def _unknown(name: str) -> Message:
    near = get_close_matches(name, [*TASKS, *lm_eval_index()], n=3, cutoff=0.6)
    values = {"name": name[:60], "near": " or ".join(f"'{each}'" for each in near), "n": len(lm_eval_index())}
    if near:
        return Message(
            "unknown task '{name}': did you mean {near}? Known are lm-eval's {n} names, and files (.yaml, .csv, "
            ".jsonl, .xlsx)", values,
        )  # fmt: skip
    return Message(
        "unknown task '{name}': known are lm-eval's {n} names, and files (.yaml, .csv, .jsonl, .xlsx)", values
    )


def _question_file(path: Path) -> Task:
    found = prepare(path, Settings().home)
    tokens = found.characters // CHARACTERS_PER_TOKEN + 1
    return Task(
        name=str(path),
        title=path.stem,
        text=gettext_noop("Your own questions."),
        questions=found.count,
        tokens_per_question=tokens + (WRITTEN_TOKENS if found.kind == "written" else 0),
        yaml=str(found.yaml),
        generates=found.kind == "written",
        rolling=found.kind == "text",
        lm_eval_name=path.name,
        output_types=({"choice": "multiple_choice", "written": "generate_until"}.get(found.kind, ROLLING),),
    )


ROLLING = "loglikelihood_rolling"


def _task_file(path: Path) -> Task:
    name, entry = entry_of(read_definition(path).values, str(path))
    return _task(str(path), name, entry, known_beside(path) if entry.kind == "group" else lm_eval_index())


def _task(study_name: str, name: str, entry: Entry, known: dict[str, Entry]) -> Task:
    leaves = [entry] if entry.kind == "task" else [known[each] for each in leaf_names(entry, known)]
    types = tuple(sorted({leaf.output_type for leaf in leaves}))
    return Task(
        name=study_name,
        title=name,
        text=gettext_noop("A task of lm-eval.") if study_name == name else gettext_noop("Your own task."),
        questions=None,
        tokens_per_question=max((TOKENS.get(kind, OTHER_TOKENS) for kind in types), default=OTHER_TOKENS),
        subjects=max(1, len(leaves) + entry.inline),
        num_fewshot=max((leaf.num_fewshot for leaf in leaves), default=0),
        own_fewshot=True,
        generates=types == ("generate_until",),
        rolling=types == (ROLLING,),
        lm_eval_name=name,
        output_types=types,
    )


def leaf_names(entry: Entry, known: dict[str, Entry]) -> list[str]:
    """Names of the tasks in a group, or with a tag; those that the group defines itself are not among them."""
    found: dict[str, None] = {}
    waiting = list(reversed(entry.members))
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in known:
            continue
        seen.add(name)
        if known[name].kind == "task":
            found[name] = None
        else:
            waiting += reversed(known[name].members)
    return list(found)


def files_of(name: str, entry: Entry, known: dict[str, Entry]) -> dict[str, Entry]:
    """The entries, by name, whose files lm-eval must read to know one: its own and those of its members."""
    found: dict[str, Entry] = {}
    waiting = [(name, entry)]
    while waiting:
        name, entry = waiting.pop()
        if name not in found:
            found[name] = entry
            waiting += [(each, known[each]) for each in entry.members if each in known]
    return {name: entry for name, entry in found.items() if entry.path}


def entry_and_known(task: Task) -> tuple[Entry, dict[str, Entry]]:
    """A found task's entry, and all that it may refer to."""
    if not is_file(task.name):
        return lm_eval_index()[task.name], lm_eval_index()
    path = Path(task.yaml or task.name)
    _, entry = entry_of(read_definition(path).values, str(path))
    return entry, known_beside(path) if entry.kind == "group" else lm_eval_index()


def read_definition(path: Path) -> Definition:
    """A task file as data.

    Raises:
        InvalidStudy: it cannot be read, is not YAML, or defines no task.
    """
    try:
        found = Reader(tasks_folder()).definition(path)
        if not {"task", "group"} & set(found.values):
            raise ValueError("there is neither 'task:' nor 'group:'")
        return found
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InvalidStudy("{path}: is not a task of lm-eval ({reason})", path=path, reason=reason) from None


def known_beside(path: Path) -> dict[str, Entry]:
    """The names of lm-eval, and of the YAML files in a file's folder, which come first."""
    return lm_eval_index() | {name: entry for _, name, entry in _definitions(path.parent)}


def _definitions(folder: Path) -> Iterator[tuple[Path, str, Entry]]:
    for path in sorted(path for path in folder.iterdir() if path.suffix in YAML):
        try:
            yield path, *entry_of(read_definition(path).values, str(path))
        except (InvalidStudy, KeyError):  # settings that others include
            continue


def _top_files(folder: Path) -> list[Path]:
    """The files of a folder that define something that no group there holds."""
    found = list(_definitions(folder))
    held = {member for _, _, entry in found for member in entry.members}
    questions = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    top = [path for path, name, _ in found if name not in held]
    if not found and not questions:
        raise InvalidStudy("{path}: holds no task: neither YAML files of lm-eval nor questions", path=folder)
    return top if found else questions


def code_in(parts: Iterable[Any]) -> str:
    """The first Python function that values name; empty where there is none."""
    for value in parts:
        if isinstance(value, str) and value.startswith(CODE):
            return value
        if isinstance(value, dict):
            if "class" in value:
                return f"class: {value['class']}"
            if found := code_in(value.values()):
                return found
        elif isinstance(value, list | tuple) and (found := code_in(value)):
            return found
    return ""
