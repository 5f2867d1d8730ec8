"""Statistics of two recipes on the same questions.

Recipes of a study answer the same questions, so most of the noise of a score (which questions were asked) cancels in
their difference. What is used where:

- One task: McNemar's exact test on the questions that only one of the two has right.
- The average over tasks, and the percentage kept: a percentile bootstrap over questions, stratified by task. To keep
  it from being too narrow where only a handful of answers changed, one pseudo-question lost, one gained and two
  unchanged are shared out among the tasks, as in the adjusted interval for paired proportions of Agresti & Min
  (Statistics in Medicine 24, 2005): "not one answer changed in 25" does not read as "no difference, certain". p is
  the level at which the interval would just touch zero.
- Several recipes: Holm's correction, so that all claims of one kind are right together 95 times in 100.

Inside a task all questions weigh the same, as in lm-eval's mmlu (`weight_by_size`); tasks weigh the same in the
average.
"""

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcompare.errors import QCompareError
from qcompare.results.answers import Answers
from qcompare.study.presets import TASKS
from qcompare.study.spec import Frozen

RESAMPLES = 10_000
SEED = 20_260
PSEUDO = (0.5, 0.5, 0.5, 0.5)
"""Pseudo-questions right in both, lost, gained, wrong in both: shared among the tasks."""
LEVEL = 0.95
TYPICAL_CHANGED = 0.2
"""Share of answers that differ between two recipes, seen with 4-bit and mixed recipes: enough for a rule of thumb."""
Z95 = 1.96
Z_POWER = 0.84
"""Added to `Z95` where a difference should be found 4 times in 5, not every other time."""


class TaskDifference(Frozen):
    """One recipe against another on one task."""

    task: str
    difference: float
    """Of the scores; 0.01 is one percentage point."""
    lost: int
    """Questions the other had right and this one has wrong."""
    gained: int
    """Questions the other had wrong and this one has right."""
    both: int
    """Questions both have right."""
    questions: int
    p: float
    """Of McNemar's exact test."""
    p_holm: float | None = None
    """Corrected for all tasks and recipes of the table."""

    @property
    def is_real(self) -> bool:
        """Chance alone would hardly do this."""
        return (self.p if self.p_holm is None else self.p_holm) < 1 - LEVEL


class PairedDifference(Frozen):
    """How much better (positive) or worse one recipe's average is than another's on the same questions."""

    difference: float
    """Of the averages; 0.01 is one percentage point."""
    low: float
    high: float
    """Ends of the interval."""
    level: float
    """Confidence of the interval, e.g. 0.95."""
    p: float
    p_holm: float | None = None
    """Corrected for all recipes that are compared with the same one."""
    percent: float | None
    """This one's average in percent of the other's; None where that is zero."""
    percent_low: float | None
    percent_high: float | None
    questions: int
    lost: int
    gained: int
    tasks: tuple[TaskDifference, ...]

    @property
    def is_real(self) -> bool:
        """The interval excludes zero, also after the correction for several recipes."""
        return (self.p if self.p_holm is None else self.p_holm) < 1 - self.level

    def task(self, name: str) -> TaskDifference | None:
        """The difference on one task."""
        return next((found for found in self.tasks if found.task == name), None)

    def turned(self) -> "PairedDifference":
        """The other against this one. Percentages do not turn and are left out, as are tasks."""
        turned = {"difference": -self.difference, "low": -self.high, "high": -self.low}
        left_out = {"percent": None, "percent_low": None, "percent_high": None, "tasks": ()}
        return self.model_copy(update={**turned, **left_out, "lost": self.gained, "gained": self.lost})


def paired_difference(ours: Answers, theirs: Answers, tasks: Sequence[str]) -> PairedDifference:
    """Difference of two recipes' averages (ours − theirs) with its interval, and that of every task.

    Args:
        tasks: the study's tasks. A leaf task belongs to the one whose name it bears or begins with (`mmlu_anatomy` to
            `mmlu`).

    Raises:
        QCompareError: the two did not answer the same questions.
    """
    return difference_of_counts(_tally(ours, theirs, tasks))


def difference_of_counts(counts: Mapping[str, NDArray[np.int64]]) -> PairedDifference:
    """The same, from how many questions of each task are right in both, lost, gained, and wrong in both."""
    draws_ours, draws_theirs = _resample(list(counts.values()))
    draws = draws_ours - draws_theirs
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(draws, ends)
    our_mean, their_mean = (
        float(np.mean([count[[0, side]].sum() / count.sum() for count in counts.values()])) for side in (2, 1)
    )
    percents = (
        tuple(100 * float(end) for end in np.quantile(draws_ours / np.maximum(draws_theirs, 1e-9), ends))
        if their_mean
        else (None, None)
    )
    return PairedDifference(
        difference=our_mean - their_mean,
        low=float(low),
        high=float(high),
        level=LEVEL,
        p=_touching_zero(draws),
        percent=100 * our_mean / their_mean if their_mean else None,
        percent_low=percents[0],
        percent_high=percents[1],
        questions=int(sum(count.sum() for count in counts.values())),
        lost=int(sum(count[1] for count in counts.values())),
        gained=int(sum(count[2] for count in counts.values())),
        tasks=tuple(_task_difference(task, count) for task, count in counts.items()),
    )


def _tally(ours: Answers, theirs: Answers, tasks: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """By task: questions right in both, lost, gained, wrong in both."""
    if not ours.right.index.equals(theirs.right.index):
        shared = len(ours.right.index.intersection(theirs.right.index))
        raise QCompareError(
            f"not the same questions ({shared} shared of {len(ours.right)} and {len(theirs.right)}): "
            "run both in one study"
        )
    if ours.prompts != theirs.prompts:
        raise QCompareError("the same questions were put differently (template or examples): run both in one study")
    if not len(ours.right):
        raise QCompareError("no questions to compare: the study has no tasks")
    cells = (3 - 2 * theirs.right.to_numpy() - ours.right.to_numpy()).astype(np.int64)  # 0 both, 1 lost, 2 gained
    of_leaf = _task_of(list(ours.right.index.get_level_values("task").unique()), tasks)
    found: dict[str, NDArray[np.int64]] = {}
    for leaf, rows in ours.right.groupby(level="task", sort=False).indices.items():
        task = of_leaf[str(leaf)]
        found[task] = found.get(task, np.zeros(4, np.int64)) + np.bincount(cells[rows], minlength=4)
    return {task: found[task] for task in sorted(found)}


def _task_of(leaves: Sequence[str], tasks: Sequence[str]) -> dict[str, str]:
    """Leaf task → the study's task. Longest name first, so that `mmlu_pro_x` would not be taken for `mmlu`."""
    known = sorted(tasks, key=len, reverse=True)
    return {leaf: next((t for t in known if leaf == t or leaf.startswith(t + "_")), leaf) for leaf in leaves}


def _resample(counts: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bootstrap draws of both averages. Drawing n questions of four kinds is one multinomial draw."""
    random = np.random.default_rng(SEED)
    pseudo = np.array(PSEUDO) * 2 / len(counts)
    ours, theirs = np.zeros(RESAMPLES), np.zeros(RESAMPLES)
    for count in counts:
        weights = count + pseudo
        drawn = random.multinomial(count.sum(), weights / weights.sum(), size=RESAMPLES) / count.sum()
        ours += drawn[:, 0] + drawn[:, 2]
        theirs += drawn[:, 0] + drawn[:, 1]
    return ours / len(counts), theirs / len(counts)


def _touching_zero(draws: NDArray[np.float64]) -> float:
    """Two-sided p of bootstrap draws: twice the smaller share on the other side of zero, never quite 0."""
    side = min((draws <= 0).sum(), (draws >= 0).sum())
    return float(min(1.0, 2 * (side + 1) / (len(draws) + 1)))


def _task_difference(task: str, count: NDArray[np.int64]) -> TaskDifference:
    both, lost, gained, _ = (int(number) for number in count)
    total = int(count.sum())
    return TaskDifference(
        task=task,
        difference=(gained - lost) / total,
        lost=lost,
        gained=gained,
        both=both,
        questions=total,
        p=mcnemar(lost, gained),
    )


def mcnemar(lost: int, gained: int) -> float:
    """Exact p of McNemar's test: how often a fair coin would split the changed answers so unevenly.

    >>> mcnemar(0, 0), mcnemar(0, 4)
    (1.0, 0.125)
    """
    from statsmodels.stats.contingency_tables import mcnemar as exact

    if lost + gained == 0:
        return 1.0
    return float(min(1.0, exact([[0, lost], [gained, 0]], exact=True).pvalue))


def holm(values: Mapping[Any, float]) -> dict[Any, float]:
    """p-values corrected so that all claims at a level hold together (Holm 1979), by the same keys.

    Not statsmodels' `multipletests`, which collects garbage on every call: 45 ms for what takes microseconds.
    """
    corrected: dict[Any, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(values, key=lambda name: values[name])):
        largest = max(largest, min(1.0, (len(values) - rank) * values[name]))
        corrected[name] = largest
    return corrected


def questions_needed(found: PairedDifference, p_factor: float = 1.0) -> float | None:
    """How many times as many questions would probably (4 in 5) show this difference, should it stay as measured.

    Args:
        p_factor: how many comparisons the claim is corrected for.

    Returns:
        At least 1; None when the difference is so small that no number would do (under 0.1 points).
    """
    from scipy.stats import norm

    if abs(found.difference) < 0.001:
        return None
    deviation = (found.high - found.low) / (2 * Z95)
    needed = float(norm.isf((1 - found.level) / 2 / p_factor)) + Z_POWER
    return max(1.0, (needed * deviation / found.difference) ** 2)


def rounded_up(number: float) -> int:
    """A number of questions, no more exact than it is: one digit, upwards.

    >>> rounded_up(812.0), rounded_up(1130.0)
    (900, 2000)
    """
    unit = 10 ** max(0, len(str(ceil(number))) - 1)
    return int(ceil(number / unit) * unit)


def visible_difference(tasks: Sequence[str], limit: int | None) -> float:
    """The smallest difference of averages that so many questions can usually show, as a share (0.04 = 4 points).

    A rule of thumb for choosing a number of questions, before anything ran: half the width of a 95 % interval when
    `TYPICAL_CHANGED` of the answers differ. No tasks: 1.
    """
    if not tasks:
        return 1.0
    variance = sum(TYPICAL_CHANGED / questions(task, limit) for task in tasks) / len(tasks) ** 2
    return Z95 * sqrt(variance)


def questions(task: str, limit: int | None) -> int:
    """Questions of a task under a limit, which counts each of its subjects."""
    info = TASKS[task]
    return info.questions if limit is None else min(limit * info.subjects, info.questions)
