"""Which quantized recipe is ahead in a comparison, and of which others that is sure.

The best recipe is picked after seeing the scores, so it is compared with the others by the p-values corrected for all
pairs.
"""

from dataclasses import dataclass

from qcompare.compare.resolution import questions_needed, rounded_up
from qcompare.compare.statistics import PairedDifference
from qcompare.compare.table import Comparison, Row
from qcompare.study.task import TASKS


@dataclass(frozen=True)
class Rival:
    """Another quantized recipe, as the best one stands to it."""

    row: Row
    paired: PairedDifference
    """Of the best minus this one."""


@dataclass(frozen=True)
class Ranking:
    """The best quantized recipe and the others."""

    comparison: Comparison
    best: Row
    beaten: tuple[Rival, ...]
    """Significantly behind the best; the nearest first."""
    open: tuple[Rival, ...]
    """Not distinguishable from the best by so many questions; the nearest first."""

    @property
    def questions_needed(self) -> int | None:
        """Questions that would separate the best from its nearest open rival; None when its tasks do not hold as
        many."""
        comparison = self.comparison
        times = questions_needed(self.open[0].paired, max(1, len(comparison.pairs)))
        sizes = [TASKS[task].questions if task in TASKS else None for task in comparison.tasks]
        if times is None or (all(sizes) and times * comparison.questions > sum(size or 0 for size in sizes)):
            return None
        return rounded_up(max(times * comparison.questions, comparison.questions + 1))


def rank(comparison: Comparison, best: Row) -> Ranking:
    """Compare the best recipe with the other quantized ones."""
    rows = {row.job_id: row for row in comparison.scored}
    rivals = []
    for pair in comparison.pairs:
        names, found = [pair.job_id, pair.other_job_id], pair.difference
        if best.job_id not in names or not set(names) <= set(rows):
            continue
        names.remove(best.job_id)
        rivals.append(Rival(rows[names[0]], found if pair.job_id == best.job_id else found.turned()))
    rivals.sort(key=lambda rival: abs(rival.paired.difference))
    beaten = tuple(rival for rival in rivals if rival.paired.is_significant and rival.paired.difference > 0)
    return Ranking(comparison, best, beaten, tuple(rival for rival in rivals if rival not in beaten))
