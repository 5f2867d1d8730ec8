"""Can a study's tasks be asked here? What cannot is refused before anything runs."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qcompare.errors import InvalidStudy
from qcompare.evaluate.tasks.find import ROLLING, code_in, entry_and_known, leaf_names, read_definition
from qcompare.evaluate.tasks.index import LOCAL_BUILDERS, Entry, lm_eval_index
from qcompare.evaluate.tasks.manager import Original, definitions
from qcompare.models.hub import hub_reachable
from qcompare.settings import Settings
from qcompare.study.spec import Study
from qcompare.study.task import TASKS, Task
from qcompare.words import Message

NAMED = 40
"""Names that a refusal lists at most."""


@dataclass(frozen=True)
class _Found:
    """A task that is not built in, with what it consists of."""

    task: Task
    entry: Entry
    leaves: dict[str, Entry]
    """The tasks in it, by name: itself, or those of a group."""
    files: list[Original]

    @classmethod
    def of(cls, task: Task) -> "_Found":
        entry, known = entry_and_known(task)
        leaves = (
            {task.lm_eval_name: entry} if entry.kind == "task" else {n: known[n] for n in leaf_names(entry, known)}
        )
        return cls(task, entry, leaves, definitions(task))


def check_tasks(study: Study, settings: Settings) -> None:
    """Refuse what cannot be asked.

    Raises:
        InvalidStudy: one line: a task that is not available, needs code or pictures, holds another, or cannot be put
            as the study wants; and what to do.
    """
    tasks = [TASKS[name] for name in study.tasks]
    for task in tasks:
        _check_kind(task, study)
    found = [_Found.of(task) for task in tasks if not task.yaml]
    for each in found:
        _check_needs(each, settings)
    _check_overlap(found)
    missing = {each.task.name: data for each in found if (data := _missing(each))}
    if missing and not hub_reachable(settings):
        name, data = next(iter(missing.items()))
        raise InvalidStudy(
            "the data of {task} ({data}) is not on this machine and no hub can be reached: at hand are {names}",
            task=name,
            data=data,
            names=", ".join(at_hand()[:NAMED]),
        )


def _check_kind(task: Task, study: Study) -> None:
    rated = not task.generates
    if rated and study.enable_thinking:
        raise InvalidStudy(
            "{task} scores given answers, which does not work with enable_thinking: take tasks answered in writing "
            "(generate_until), or leave enable_thinking out", task=task.name,
        )  # fmt: skip
    if ROLLING in task.output_types and study.num_fewshot:
        raise InvalidStudy("{task} is a perplexity of whole texts: num_fewshot must be 0 or null", task=task.name)


def _check_needs(found: _Found, settings: Settings) -> None:
    trusted = found.entry.kind == "task" and not Path(found.entry.path).is_absolute()  # lm-eval's own
    for file in () if trusted else found.files:
        if not settings.trust_remote_code and file.is_own and (code := code_in(read_definition(file.path).own)):
            raise InvalidStudy(
                "{path}: runs Python code ({code}); if you trust it, allow it with --trust-remote-code "
                "(QCOMPARE_TRUST_REMOTE_CODE)", path=file.path, code=code,
            )  # fmt: skip
    for name, leaf in found.leaves.items():
        if leaf.needs and not (leaf.needs.startswith("running") and settings.trust_remote_code):
            raise InvalidStudy(
                "{task} needs {what}, which qcompare does not support{unless}: choose another task",
                task=name,
                what=leaf.needs,
                unless=Message(" without --trust-remote-code") if leaf.needs.startswith("running") else "",
            )


def _check_overlap(found: list[_Found]) -> None:
    """A question must belong to one task: its answers are stored by its name."""
    owners: dict[str, str] = {}
    for each in found:
        for leaf in each.leaves:
            if leaf in owners:
                raise InvalidStudy(
                    "{leaf} is part of both {task} and {other}: choose only one",
                    leaf=leaf, task=owners[leaf], other=each.task.name,
                )  # fmt: skip
            owners[leaf] = each.task.name


def _missing(found: _Found) -> str:
    """The first data set of a task that is neither in the bundle nor kept on this machine; empty where all are."""
    bundled = {file.name for file in found.files if file.bundle}
    return next((lack for name, leaf in found.leaves.items() if name not in bundled and (lack := _lacks(leaf))), "")


def _lacks(entry: Entry) -> str:
    path, _, config = entry.dataset.partition(":")
    if not path:
        return ""  # it makes its data itself
    if path in LOCAL_BUILDERS:
        folder = Path(entry.path).parent
        lost = [file for file in entry.data_files if "://" in file or not (folder / file).exists()]
        return lost[0] if lost else ""
    return "" if _cached(path, config) or Path(path).is_dir() else entry.dataset.replace(":", ", ")


def _cached(path: str, config: str) -> bool:
    """Whether `datasets` (5.2, `packaged_modules/cache`) finds a data set, and its configuration, without a hub."""
    *owner, name = path.split("/")
    name = re.sub(r"([a-z\d])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)).lower()
    return any((_datasets_cache() / "___".join([*owner, name])).glob(f"{config or '*'}/*/*"))


def _datasets_cache() -> Path:
    home = os.environ.get("HF_HOME", "~/.cache/huggingface")
    return Path(os.environ.get("HF_DATASETS_CACHE", f"{home}/datasets")).expanduser()


def at_hand() -> list[str]:
    """Tasks whose data is on this machine: built-in ones, then those that `datasets` has kept."""
    return [*TASKS, *(name for name in _kept_tasks() if name not in TASKS)]


def _kept_tasks() -> Iterator[str]:
    if not _datasets_cache().is_dir() or not any(_datasets_cache().iterdir()):
        return
    for name, entry in lm_eval_index().items():
        if entry.kind == "task" and entry.dataset and not entry.needs and not _lacks(entry):
            yield name
