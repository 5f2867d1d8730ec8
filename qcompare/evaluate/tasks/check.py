"""Can a study's tasks be asked here? What cannot is refused before anything runs."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from qcompare.errors import InvalidStudy
from qcompare.evaluate.tasks.find import ROLLING, code_in, entry_and_known, leaf_names, read_definition
from qcompare.evaluate.tasks.index import LOCAL_BUILDERS, Entry, lm_eval_index
from qcompare.evaluate.tasks.manager import definitions
from qcompare.models.hub import hub_reachable
from qcompare.settings import Settings
from qcompare.study.spec import Study
from qcompare.study.task import TASKS, Task

NAMED = 40
"""Names that a refusal lists at most."""


def check_tasks(study: Study, settings: Settings) -> None:
    """Refuse what cannot be asked.

    Raises:
        InvalidStudy: one line: a task that is not to be had, needs code or pictures, holds another, or cannot be put
            as the study wants; and what to do.
    """
    tasks = [TASKS[name] for name in study.tasks]
    for task in tasks:
        _check_kind(task, study)
        if not task.yaml:
            _check_needs(task, settings)
    _check_overlap([task for task in tasks if task.name not in [*TASKS]])
    missing = {task.name: data for task in tasks if (data := _missing(task))}
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
            "{task} rates given answers, which enable_thinking leaves no room for: take tasks answered in writing "
            "(generate_until), or leave enable_thinking out", task=task.name,
        )  # fmt: skip
    if ROLLING in task.output_types and study.num_fewshot:
        raise InvalidStudy("{task} is a perplexity of whole texts: num_fewshot must be 0 or null", task=task.name)


def _check_needs(task: Task, settings: Settings) -> None:
    entry, known = entry_and_known(task)
    if (entry.kind == "task" and Path(entry.path).is_absolute()) or entry.kind == "group":
        for each in definitions(task):
            if not settings.trust_remote_code and each.is_own and (code := code_in(read_definition(each.path).own)):
                raise InvalidStudy(
                    "{path}: runs Python code ({code}); if you trust it, allow it with --trust-remote-code "
                    "(QCOMPARE_TRUST_REMOTE_CODE)", path=each.path, code=code,
                )  # fmt: skip
    for name in [task.lm_eval_name] if entry.kind == "task" else leaf_names(entry, known):
        needs = (entry if entry.kind == "task" else known[name]).needs
        if needs and not (needs.startswith("running") and settings.trust_remote_code):
            raise InvalidStudy(
                "{task} needs {what}, which qcompare does not do{unless}: choose another task",
                task=name,
                what=needs,
                unless=" without --trust-remote-code" if needs.startswith("running") else "",
            )


def _check_overlap(tasks: list[Task]) -> None:
    """A question must belong to one task: its answers are stored by its name."""
    owners: dict[str, str] = {}
    for task in tasks:
        if task.yaml:
            continue
        entry, known = entry_and_known(task)
        for leaf in [task.lm_eval_name] if entry.kind == "task" else leaf_names(entry, known):
            if leaf in owners:
                raise InvalidStudy(
                    "{leaf} is in both {task} and {other}: name one of them",
                    leaf=leaf, task=owners[leaf], other=task.name,
                )  # fmt: skip
            owners[leaf] = task.name


def _missing(task: Task) -> str:
    """The first data set of a task that is neither in the bundle nor kept on this machine; empty where all are."""
    if task.yaml:
        return ""
    entry, known = entry_and_known(task)
    leaves = {task.lm_eval_name: entry} if entry.kind == "task" else {n: known[n] for n in leaf_names(entry, known)}
    bundled = {each.name for each in definitions(task) if each.bundle}
    return next((lack for name, leaf in leaves.items() if name not in bundled and (lack := _lacks(leaf))), "")


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
