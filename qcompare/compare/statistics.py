"""Statistics of recipes on the same questions.

Recipes of a study answer the same questions, so most of the noise of a score (which questions were asked) cancels in
their difference. What is used where:

- One task: McNemar's exact test on the questions that only one of the two has right (`chance`).
- The average over tasks, and the percentage kept: a paired bootstrap of questions, stratified by task (`resampling`);
  with normal tails beyond the resamples, so that p-values have no floor.
- KL divergence: paired by passage of the held-out text (`kl`).
- Several recipes: Holm's correction, so that all claims of one kind are right together 95 times in 100. An interval
  is as wide as Holm's rule asks of its comparison: at least 95 %, and it leaves zero out exactly where the difference
  is called significant.

Inside a task all questions weigh the same, as in lm-eval's mmlu (`weight_by_size`); tasks weigh the same in the
average.
"""

from collections.abc import Mapping, Sequence

from qcompare.compare.answers import Answers
from qcompare.compare.chance import LEVEL, Key, holm, holm_levels, mcnemar
from qcompare.compare.resampling import Counts, averages, resample
from qcompare.compare.tally import tally
from qcompare.study.frozen import Frozen

MEANINGLESS_RATIO = 10.0
"""An interval of a share that reaches so far says nothing: draws of a few questions have next to none right."""


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
    p_holm: float
    """Corrected for all tasks and recipes of the table."""

    @property
    def is_significant(self) -> bool:
        """Chance alone would hardly do this."""
        return self.p_holm < 1 - LEVEL


class PairedDifference(Frozen):
    """How much better (positive) or worse one recipe's average is than another's on the same questions."""

    difference: float
    """Of the averages; 0.01 is one percentage point."""
    low: float
    high: float
    """Ends of the interval."""
    level: float
    """Confidence of the interval: 0.95, or more where Holm's rule asks for it."""
    p: float
    p_holm: float
    """Corrected for all recipes that are compared with the same one."""
    percent: float | None
    """This one's average in percent of the other's; None where that is zero."""
    percent_low: float | None
    """None, as the other end, where the questions are too few to give any: it could be ten times the other's."""
    percent_high: float | None
    questions: int
    lost: int
    gained: int
    tasks: tuple[TaskDifference, ...]

    @property
    def is_significant(self) -> bool:
        """The interval excludes zero: also with several recipes, chance alone would hardly do this."""
        return self.p_holm < 1 - LEVEL

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
        tasks: the study's tasks, see `tally`.

    Raises:
        QCompareError: the two did not answer the same questions.
    """
    return paired_differences({"": tally(ours, theirs, tasks)})[""]


def paired_differences(counts: Mapping[Key, Mapping[str, Counts]]) -> dict[Key, PairedDifference]:
    """All comparisons of one table, corrected together.

    Args:
        counts: of each comparison, by task; see `tally`.
    """
    p = {name: resample(tuple(by_task.values())).p for name, by_task in counts.items()}
    cells = {
        (name, task): mcnemar(lost, gained)
        for name, by_task in counts.items()
        for task, (_, lost, gained, _) in by_task.items()
    }
    corrected, levels, corrected_cells = holm(p), holm_levels(p), holm(cells)
    return {
        name: _paired(
            tuple(by_task.values()),
            levels[name],
            p_holm=corrected[name],
            tasks=tuple(
                _task(task, count, cells[name, task], corrected_cells[name, task]) for task, count in by_task.items()
            ),
        )
        for name, by_task in counts.items()
    }


def _paired(
    counts: tuple[Counts, ...], level: float, p_holm: float, tasks: tuple[TaskDifference, ...]
) -> PairedDifference:
    draws = resample(counts)
    low, high = draws.interval(level)
    ours, theirs = averages(counts)
    ratio_low, ratio_high = draws.ratio_interval(level)
    ends = [100 * ratio_low, 100 * ratio_high] if theirs and ratio_high < MEANINGLESS_RATIO else [None, None]
    return PairedDifference(
        difference=ours - theirs,
        low=low,
        high=high,
        level=level,
        p=draws.p,
        p_holm=p_holm,
        percent=100 * ours / theirs if theirs else None,
        percent_low=ends[0],
        percent_high=ends[1],
        questions=sum(map(sum, counts)),
        lost=sum(count[1] for count in counts),
        gained=sum(count[2] for count in counts),
        tasks=tasks,
    )


def _task(task: str, count: Counts, p: float, p_holm: float) -> TaskDifference:
    both, lost, gained, neither = count
    total = both + lost + gained + neither
    return TaskDifference(
        task=task,
        difference=(gained - lost) / total,
        lost=lost,
        gained=gained,
        both=both,
        questions=total,
        p=p,
        p_holm=p_holm,
    )
