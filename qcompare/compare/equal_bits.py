"""Whether choosing layers by their weights paid: against the simpler recipes of equal bits, and against uniform."""

from dataclasses import dataclass

from qcompare.compare.choice import choose
from qcompare.compare.kl import KLDifference, kl_difference
from qcompare.compare.statistics import PairedDifference
from qcompare.compare.table import Comparison, Row
from qcompare.study.recipe import RECIPES

TOLERANCE = 0.05
"""Average bits by which two rows may differ and still count as equally large."""


@dataclass(frozen=True)
class Versus:
    """A chosen recipe beside another one of equal bits, or beside the lowest, which is smaller."""

    row: Row
    paired: PairedDifference | None
    """Accuracy of the chosen one minus this one; corrected by Holm for all pairs of the comparison."""
    kl: KLDifference | None
    """KL divergence of the chosen one minus this one's."""


@dataclass(frozen=True)
class EqualBits:
    """A recipe that chose its layers by their weights, and the others at its budget."""

    chosen: Row
    avg_bits: float
    others: tuple[Versus, ...]
    """Other rows of equal bits, and the lowest recipe of the same schemes."""

    @property
    def better_than(self) -> tuple[Row, ...]:
        """Rows with significantly fewer right answers."""
        return tuple(x.row for x in self.others if x.paired and x.paired.is_significant and x.paired.difference > 0)

    @property
    def worse_than(self) -> tuple[Row, ...]:
        """Rows with significantly more right answers."""
        return tuple(x.row for x in self.others if x.paired and x.paired.is_significant and x.paired.difference < 0)

    @property
    def closer_than(self) -> tuple[Row, ...]:
        """Rows whose predictions are significantly further from the original's."""
        return tuple(x.row for x in self.others if x.kl and x.kl.is_significant and x.kl.difference < 0)


def equal_bits(comparison: Comparison) -> tuple[EqualBits, ...]:
    """For each budget, lowest first, the chosen recipe with the highest average, beside all others of that size.

    A budget at which no other recipe was measured is left out.
    """
    ahead: dict[float, EqualBits] = {}
    for row in comparison.scored:
        if not _is_chosen(row) or row.avg_bits is None or row.bits is None:
            continue
        others = _others(comparison, row)
        found = EqualBits(row, row.avg_bits, others)
        if others and (row.avg_bits not in ahead or _rank(row) > _rank(ahead[row.avg_bits].chosen)):
            ahead[row.avg_bits] = found
    return tuple(ahead[bits] for bits in sorted(ahead))


def _is_chosen(row: Row) -> bool:
    return row.recipe in RECIPES and RECIPES[row.recipe].reads_weights


def _rank(row: Row) -> tuple[float, float]:
    return row.average or 0.0, -row.divergence.kl if row.divergence else 0.0


def _beside(row: Row, other: Row) -> bool:
    """Whether a row belongs beside a chosen one: as large, or the lowest recipe, with the same KV cache."""
    if other.job_id == row.job_id or other.is_baseline or other.bits is None or row.bits is None:
        return False
    if other.kv_cache != row.kv_cache:
        return False
    if other.recipe in RECIPES and RECIPES[other.recipe].is_lowest:
        return other.bits.achieved <= row.bits.achieved
    return abs(other.bits.achieved - row.bits.achieved) <= TOLERANCE


def _others(comparison: Comparison, row: Row) -> tuple[Versus, ...]:
    choice = choose(comparison)
    paired = choice.differences if choice else {}
    return tuple(
        Versus(
            other,
            paired.get((row.job_id, other.job_id)),
            kl_difference(row.divergence, other.divergence) if row.divergence and other.divergence else None,
        )
        for other in comparison.scored
        if _beside(row, other)
    )
