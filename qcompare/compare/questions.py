"""The questions behind a score: which a recipe lost and gained against BF16, and how likely it found each option."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcompare.compare.selection import Selection, read_selection
from qcompare.store import Store
from qcompare.study.ids import StudyIds
from qcompare.study.recipe import is_baseline
from qcompare.study.records import Job
from qcompare.study.samples import Sample, Samples, read_samples
from qcompare.words import Message

if TYPE_CHECKING:
    import pandas as pd


class Change(StrEnum):
    """How a question stands against BF16."""

    LOST = "lost"
    GAINED = "gained"
    BOTH = "both"
    """Right in both."""
    NEITHER = "neither"
    """Wrong in both."""


CHANGES = {(1, 1): Change.BOTH, (0, 1): Change.LOST, (1, 0): Change.GAINED, (0, 0): Change.NEITHER}
"""By whether this recipe is right, and BF16."""
PAGE = 10
TABLES_KEPT = 24
"""Tables of answers held in memory: eight recipes of three tasks."""


@dataclass(frozen=True)
class Option:
    """One way to answer."""

    text: str
    is_answer: bool
    shares: tuple[float | None, ...]
    """For each recipe: how likely it found this option, of all options; None where it has no answer."""
    loglikelihoods: tuple[float | None, ...] = ()
    """For each recipe, in nats."""
    chosen: tuple[bool, ...] = ()
    """For each recipe: of several options, it found this one likeliest."""


@dataclass(frozen=True)
class Question:
    """One question, as it was put."""

    leaf: str
    """Task or subject."""
    doc_id: int
    change: Change
    text: str
    options: tuple[Option, ...]
    right: tuple[bool | None, ...]
    """For each recipe; None where it has no answer, or the task no right and wrong."""
    target: str = ""
    """The right answer, of questions answered in writing."""
    written: tuple[str | None, ...] = ()
    """What each recipe wrote; empty for questions with options."""
    scores: tuple[float | None, ...] = ()
    """For each recipe, of tasks without right and wrong; higher is better."""


@dataclass(frozen=True)
class Questions:
    """A page of the questions behind a cell."""

    title: Message
    """Of the recipe."""
    recipes: tuple[Message, ...]
    """Titles of all recipes, as in `Option.shares`."""
    counts: Mapping[Change, int]
    """Questions that match the search."""
    found: int
    """Questions that match the search and the change."""
    shown: tuple[Question, ...]
    disagreements: int = 0
    """Of the questions that match, those to which recipes gave different answers; 0 where that was not asked."""
    by_score: bool = False
    """The task has no right and wrong: lost are questions with a lower score than BF16's, gained with a higher."""


def read_questions(
    store: Store,
    job_id: str,
    task: str,
    change: Change | None = None,
    search: str = "",
    limit: int = PAGE,
    among: StudyIds = (),
    only: str = "",
    disagree: bool | None = None,
) -> Questions:
    """The questions of one recipe and task, beside BF16's answers to them.

    Args:
        change: only questions that stand so; default: all.
        search: text that question, options or subject must hold, whatever the case.
        limit: how many are shown.
        among: the studies whose recipes are shown beside it; default: its own.
        only: a single question, as `SUBJECT/NUMBER` (its leaf and `doc_id`); no filter matters.
        disagree: only questions to which the recipes beside each other did not all give the same answer: the option
            chosen, or right and wrong where there are none. False: all, and these are counted; None: not even that.
            Without effect on tasks by score.

    Raises:
        QCompareError: the recipe's answers cannot be read.
    """
    chosen = store.job(job_id)
    selection = read_selection(store, among or (chosen.study_id,))
    jobs = _with_answers(store, selection, task)
    baselines = [job for job in jobs if is_baseline(job.recipe)]
    own = (job for job in baselines if job.study_id == chosen.study_id)
    baseline = next(own, baselines[0] if baselines else chosen)
    ours, theirs = _samples(store, job_id, task), _samples(store, baseline.id, task)
    by_score = _by_score(ours, theirs)
    changes = _changes(ours, theirs, by_score)
    if only:
        changes = changes[[f"{leaf}/{number}" == only for leaf, number in changes.index]]
    elif search.strip():
        text = ours.text.loc[changes.index]
        changes = changes[text.str.contains(search.strip().lower(), regex=False)]
    counts = {each: int((changes == each).sum()) for each in Change}
    if change and not only:
        changes = changes[changes == change]
    tables = [_samples(store, job.id, task) for job in jobs]
    looked_for = disagree is not None and not by_score
    apart = changes[_disagree(tables, changes.index)] if looked_for else changes.iloc[:0]
    if disagree and looked_for and not only:
        changes = apart
    first = changes.head(limit)
    shown = (_question(ours, key, found, tables, by_score) for key, found in zip(first.index, first, strict=True))
    titles = selection.titles
    names = tuple(titles[job.id] for job in jobs)
    return Questions(titles[job_id], names, counts, len(changes), tuple(shown), len(apart), by_score)


def _with_answers(store: Store, selection: Selection, task: str) -> list[Job]:
    """The jobs whose answers to a task are kept."""
    measured = {each.job_id for each in selection.results if any(score.task == task for score in each.tasks)}
    return [
        job
        for job in selection.jobs
        if job.id in measured - {*selection.repeats} and store.folder(job.id).samples_file.exists()
    ]


def _samples(store: Store, job_id: str, task: str) -> Samples:
    file = store.folder(job_id).samples_file
    changed = file.stat().st_mtime_ns if file.exists() else 0
    return _read(file, changed, task)


@lru_cache(TABLES_KEPT)
def _read(file: Path, changed: int, task: str) -> Samples:
    return read_samples(file, task)


def _by_score(ours: Samples, theirs: Samples) -> bool:
    return not (ours.acc.isin([0, 1]).all() and theirs.acc.isin([0, 1]).all())


def _changes(ours: Samples, theirs: Samples, by_score: bool) -> "pd.Series[str]":
    """How each question that both answered stands, by (leaf, doc_id)."""
    import pandas as pd

    same = ours.index.intersection(theirs.index)
    pairs = zip(ours.acc.loc[same], theirs.acc.loc[same], strict=True)
    changes = [_change(a, b) if by_score else CHANGES[int(a), int(b)] for a, b in pairs]
    return pd.Series(changes, same, dtype=object)


def _disagree(tables: Sequence[Samples], index: "pd.Index[Any]") -> "pd.Series[bool]":
    """For each question, whether two tables hold different answers to it."""
    import numpy as np
    import pandas as pd

    lowest, highest = np.full(len(index), np.inf), np.full(len(index), -np.inf)
    for table in tables:
        known = table.choice if table.index.equals(index) else table.choice.reindex(index)
        answers = known.to_numpy()
        lowest, highest = np.fmin(lowest, answers), np.fmax(highest, answers)
    return pd.Series(lowest, index) < pd.Series(highest, index)


def _change(ours: float, theirs: float) -> Change:
    if ours == theirs:
        return Change.BOTH
    return Change.LOST if ours < theirs else Change.GAINED if ours > theirs else Change.NEITHER


def _question(
    ours: Samples, key: tuple[str, int], change: str, tables: Sequence[Samples], by_score: bool
) -> Question:
    asked = ours.get(key)
    assert asked is not None
    found = [table.get(key) for table in tables]
    shares = [None if each is None else option_shares(each.loglikelihoods) for each in found]
    answer = answer_index(asked)
    return Question(
        leaf=asked.task,
        doc_id=asked.doc_id,
        change=Change(change),
        text=asked.question,
        options=tuple(
            Option(
                text,
                n == answer,
                tuple(None if each is None else each[n] for each in shares),
                tuple(None if each is None else each.loglikelihoods[n] for each in found),
                tuple(each is not None and len(asked.options) > 1 and each.choice == n for each in found),
            )
            for n, text in enumerate(asked.options)
        ),
        right=tuple(None if each is None or by_score else bool(each.acc) for each in found),
        target="" if asked.options else asked.target,
        written=() if asked.answer is None else tuple(None if each is None else each.answer for each in found),
        scores=tuple(None if each is None else each.acc for each in found) if by_score else (),
    )


def option_shares(loglikelihoods: Sequence[float]) -> tuple[float, ...]:
    """How likely each option is, of all; where there is one option, how likely it is of all texts."""
    if len(loglikelihoods) < 2:
        return tuple(exp(value) for value in loglikelihoods)
    highest = max(loglikelihoods)
    weights = [exp(value - highest) for value in loglikelihoods]
    return tuple(weight / sum(weights) for weight in weights)


def answer_index(sample: Sample) -> int | None:
    """Which option is right: the target's number or text; of two options, whichever fits the score."""
    options, target = sample.options, sample.target
    if len(options) < 2:
        return 0
    if target.isdigit() and int(target) < len(options):
        return int(target)
    if len(options) == 2:  # winogrande: both options end alike, so the target's text tells nothing
        chosen = sample.loglikelihoods.index(max(sample.loglikelihoods))
        return chosen if sample.acc else 1 - chosen
    return next((n for n, text in enumerate(options) if text.strip() == target.strip()), None)
