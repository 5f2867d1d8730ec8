"""Differences of metrics that are no share of right answers (perplexity, F1, BLEU): a paired bootstrap of questions.

Each job keeps its metric of questions drawn anew, the same draws for every recipe (`TaskScore.resamples`). The spread
of their differences is the standard error of the difference, which is compared with Student's t for the number of
questions. Perplexities are compared by their logarithms: they differ by factors.
"""

from collections.abc import Mapping, Sequence
from math import expm1, log

import numpy as np

from qcompare.compare.answers import Answers
from qcompare.compare.chance import LEVEL, holm
from qcompare.study.frozen import Frozen
from qcompare.study.result import Result, TaskScore


class MetricDifference(Frozen):
    """One recipe against another on one task."""

    task: str
    difference: float
    """In the metric's own units."""
    low: float
    high: float
    """Ends of the 95 % interval."""
    p: float
    p_holm: float
    """Corrected for all such tasks and recipes of the table."""
    worse: int
    better: int
    """Questions, of those that have a score of their own."""
    higher_is_better: bool

    @property
    def is_significant(self) -> bool:
        """Chance alone would hardly do this."""
        return self.p_holm < 1 - LEVEL


def metric_differences(
    other: Result, results: Sequence[Result], answers: Mapping[str, Answers]
) -> dict[str, tuple[MetricDifference, ...]]:
    """The differences of results to one of them, by job id, on the tasks beside the average.

    Corrected by Holm for all results and tasks.
    """
    theirs = {score.task: score for score in other.tasks if not score.averaged}
    found: dict[tuple[str, str], MetricDifference] = {}
    for result in results:
        for score in result.tasks:
            if result.job_id == other.job_id or score.task not in theirs:
                continue
            worse, better = _changed(answers.get(result.job_id), answers.get(other.job_id), score.task)
            if each := _difference(score, theirs[score.task], worse, better):
                found[result.job_id, score.task] = each
    corrected = holm({key: each.p for key, each in found.items()})
    by_job: dict[str, list[MetricDifference]] = {}
    for key, each in found.items():
        by_job.setdefault(key[0], []).append(each.model_copy(update={"p_holm": corrected[key]}))
    return {job_id: tuple(some) for job_id, some in by_job.items()}


def _difference(ours: TaskScore, theirs: TaskScore, worse: int, better: int) -> MetricDifference | None:
    from scipy.special import stdtr, stdtrit

    if ours.value is None or theirs.value is None or len(ours.resamples) != len(theirs.resamples) or ours.n < 2:
        return None
    mine, other = np.array(ours.resamples), np.array(theirs.resamples)
    by_factor = "perplexity" in ours.metric and bool(len(mine)) and min(mine.min(), other.min()) > 0
    if by_factor:
        change, draws = log(ours.value / theirs.value), np.log(mine / other)
    else:
        change, draws = ours.value - theirs.value, mine - other
    if not len(draws):
        return None
    error, degrees = float(draws.std()), ours.n - 1
    if error == 0:  # no draw differs
        p, half = float(change == 0), 0.0
    else:
        p = min(1.0, 2 * float(stdtr(degrees, -abs(change) / error)))
        half = float(stdtrit(degrees, (1 + LEVEL) / 2)) * error
    ends = change - half, change + half
    low, high = (theirs.value * expm1(end) for end in ends) if by_factor else ends
    return MetricDifference(
        task=ours.task,
        difference=ours.value - theirs.value,
        low=low,
        high=high,
        p=p,
        p_holm=p,
        worse=worse,
        better=better,
        higher_is_better=ours.higher_is_better,
    )


def _changed(ours: Answers | None, theirs: Answers | None, task: str) -> tuple[int, int]:
    """Questions with a lower and with a higher score."""
    if ours is None or theirs is None or ours.scores is None or theirs.scores is None:
        return 0, 0
    leaves = [leaf for leaf, of in ours.tasks.items() if of == task]
    mine = ours.scores[ours.scores.index.get_level_values(0).isin(leaves)]
    change = mine - theirs.scores.reindex(mine.index)
    return int((change < 0).sum()), int((change > 0).sum())
