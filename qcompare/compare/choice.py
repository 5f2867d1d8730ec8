"""Which quantized recipe to ship: the smallest that is shown not to be worse than the others, within a margin.

A row *passes* where the questions show that no other row's average is higher by the margin or more: a non-inferiority
test against each of the others, all of which must succeed (intersection-union test: Berger, Technometrics 24, 1982).
Each is one-sided at 2.5 %, as is usual for non-inferiority, so its bound is the lower end of a 95 % interval.

Only rows that are worse than the truly best one can pass wrongly, and only by coming close to it, so with k rows at
most k - 1 tests can go wrong: Holm's step-down over so many keeps the chance that any such row passes, and with it
that of a wrong pick, below 2.5 % (Hsu, Multiple Comparisons, 1996, ch. 4).

Where no row passes, accuracy cannot tell them apart yet. Then, of the rows that none is significantly better
than, the one whose predictions are significantly closer to the original's than those of all others stands in.

No claim rests on a difference that is numerical, where the rows' noise was measured (`compare.noise`): the error of a
difference of averages is taken to be at least that which computing alone makes, a shift through the dtype widens the
non-inferiority test by all of it, a difference inside both is never significant, and one of KL divergences must be
larger than what the other dtype moves it by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from statistics import NormalDist

from qcompare.compare.chance import LEVEL, Z95
from qcompare.compare.kl import kl_difference
from qcompare.compare.noise import error_floor, is_numerical, kl_moves, shift_between
from qcompare.compare.resolution import Z_POWER, rounded_up, standard_error
from qcompare.compare.statistics import PairedDifference
from qcompare.compare.table import Comparison, Row
from qcompare.study.task import TASKS

ALPHA = (1 - LEVEL) / 2
"""Chance that a row is picked which is worse than the best by the margin or more."""


@dataclass(frozen=True)
class Choice:
    """What to ship of some quantized rows, and what that rests on."""

    comparison: Comparison
    rows: tuple[Row, ...]
    """Those that it was chosen from, smallest first."""
    margin: float
    """How much lower an average may be and still count as the same; 0.01 is one percentage point."""
    families: int = 1
    """Choices that are shown together; each is held to a level that is stricter by so much."""

    @cached_property
    def differences(self) -> Mapping[tuple[str, str], PairedDifference]:
        """Of every two rows, by their job ids: the first minus the other, corrected for all pairs."""
        ids = {row.job_id for row in self.rows}
        pairs = [pair for pair in self.comparison.pairs if {pair.job_id, pair.other_job_id} <= ids]
        there = {(pair.job_id, pair.other_job_id): pair.difference for pair in pairs}
        return there | {(b, a): found.turned() for (a, b), found in there.items()}

    @cached_property
    def not_worse(self) -> tuple[Row, ...]:
        """Rows that pass: the smallest first."""
        passed: tuple[Row, ...] = ()
        while True:
            tests = max(1, min(len(self.rows) - 1, len(self.rows) - len(passed)))
            now = tuple(row for row in self.rows if self.margin_of(row, tests) < self.margin)
            if len(now) <= len(passed):
                return passed
            passed = now

    def margin_of(self, row: Row, tests: int | None = None) -> float:
        """The margin above which a row passes.

        Args:
            tests: how many the level is corrected for; default: as many as can go wrong.
        """
        z = self._z(tests or max(1, len(self.rows) - 1))
        others = (other for other in self.rows if other.job_id != row.job_id)
        return max((self._lacks(row, other, z) for other in others), default=-inf)

    def _lacks(self, row: Row, other: Row, z: float) -> float:
        """By how much a row may be worse than another, at most."""
        found = self._to(row, other)
        if found is None:
            return inf
        return z * _error(row, other, found) + shift_between(row, other) - found.difference

    @cached_property
    def closest(self) -> Row | None:
        """Of the rows that none is significantly better than, the one with the lowest KL divergence, where all its
        differences to the others' are significant."""
        unbeaten = [row for row in self.rows if not self.better_than(row)]
        measured = [(row.divergence.kl, row) for row in unbeaten if row.divergence]
        if len(measured) < max(2, len(unbeaten)):
            return None
        nearest = min(measured, key=lambda found: found[0])[1]
        level = 1 - (1 - LEVEL) / self.families / (len(unbeaten) - 1)
        return nearest if all(_closer(nearest, other, level) for other in unbeaten if other is not nearest) else None

    @property
    def pick(self) -> Row | None:
        """What to ship: by accuracy, else by KL divergence; None where neither tells."""
        return self.not_worse[0] if self.not_worse else self.closest

    @property
    def highest(self) -> Row:
        """The row with the highest average."""
        return max(self.rows, key=lambda row: row.average or 0.0)

    def better_than(self, row: Row) -> tuple[Row, ...]:
        """Rows that are significantly better."""
        return tuple(other for other in self.rows if self._is_better(other, row))

    def worse_than(self, row: Row) -> tuple[Row, ...]:
        """Rows that are significantly worse."""
        return tuple(other for other in self.rows if self._is_better(row, other))

    @property
    def all_worse(self) -> bool:
        """Every row is shown to be worse than the original by more than the margin."""
        original = self.comparison.baseline
        return all(_highest(row, original) < -self.margin for row in self.rows)

    @property
    def all_the_same(self) -> bool:
        """Several rows, and every one of them passes: no two differ by the margin or more."""
        return 1 < len(self.rows) == len(self.not_worse)

    @property
    def questions(self) -> int:
        """Questions that all of this rests on: those of every pair, or of the only row and the original."""
        found = [paired.questions for paired in self.differences.values()]
        found += [row.versus_bf16.questions for row in self.rows if row.versus_bf16]
        return min(found, default=self.comparison.questions)

    @property
    def available(self) -> int | None:
        """Questions that the tasks hold in all; None where that is not known."""
        sizes = [found.questions if (found := TASKS.get(task)) else None for task in self.comparison.tasks]
        return None if None in sizes or not sizes else sum(size or 0 for size in sizes)

    @property
    def questions_needed(self) -> int | None:
        """Questions in all with which a row would probably (4 in 5) pass, should the differences stay as measured.

        None where a row passes already, where nothing can be said, or where the tasks do not hold as many.
        """
        if self.not_worse or not self.differences:
            return None
        times = min(map(self._times, self.rows))
        if times == inf:
            return None
        needed, held = max(times * self.questions, self.questions + 1), self.available
        if held is None:
            return rounded_up(needed)
        return min(rounded_up(needed), held) if needed <= held else None

    def _times(self, row: Row) -> float:
        """How many times as many questions it takes for a row to pass."""
        z = self._z(max(1, len(self.rows) - 1)) + Z_POWER
        times = 0.0
        for other in self.rows:
            if other.job_id == row.job_id:
                continue
            found = self._to(row, other)
            room = 0.0 if found is None else found.difference + self.margin - shift_between(row, other)
            if found is None or room <= 0:
                return inf
            ratio = z * _error(row, other, found) / room
            times = max(times, ratio * ratio)  # infinite where ** would raise
        return times

    def _to(self, row: Row, other: Row) -> PairedDifference | None:
        return self.differences.get((row.job_id, other.job_id))

    def _is_better(self, row: Row, other: Row) -> bool:
        """Significantly, and by more than computing alone makes."""
        found = self._to(row, other)
        return (
            found is not None
            and found.is_significant
            and found.difference > 0
            and not is_numerical(row, other, found.difference)
        )

    def _z(self, tests: int) -> float:
        return -NormalDist().inv_cdf(ALPHA / tests / self.families)


def choose(comparison: Comparison) -> Choice | None:
    """What to ship of all quantized rows that may be compared; None where none has a score."""
    return _choice(comparison, [row for row in comparison.scored if not row.is_baseline])


def job_to_ship(comparison: Comparison) -> str:
    """The job id of the row that `choose` picks; empty where it picks none."""
    choice = choose(comparison)
    return choice.pick.job_id if choice and choice.pick else ""


def choose_by_budget(comparison: Comparison) -> tuple[tuple[float, Choice], ...]:
    """What to ship of the rows of each budget, lowest first; empty unless there are several budgets."""
    rows = [row for row in comparison.scored if not row.is_baseline]
    budgets = sorted({row.avg_bits for row in rows if row.avg_bits is not None})
    if len(budgets) < 2:
        return ()
    found = [(bits, _choice(comparison, [r for r in rows if r.avg_bits == bits], len(budgets))) for bits in budgets]
    return tuple((bits, choice) for bits, choice in found if choice)


def _choice(comparison: Comparison, rows: Sequence[Row], families: int = 1) -> Choice | None:
    if not rows:
        return None
    ordered = tuple(sorted(rows, key=lambda row: (_size(row), -(row.average or 0.0))))
    return Choice(comparison, ordered, comparison.study.margin / 100, families)


def _size(row: Row) -> float:
    return inf if row.size_bytes is None else row.size_bytes


def _error(row: Row, other: Row, found: PairedDifference) -> float:
    """Standard error of a difference: that of the questions, or that of computing where it is larger."""
    return max(standard_error(found), error_floor(row, other))


def _highest(row: Row, original: Row | None) -> float:
    """The most that a row may be better than the original; without a difference to it anything."""
    found = row.versus_bf16
    if found is None or original is None:
        return inf if found is None else found.high
    reach = Z95 * error_floor(row, original)
    return max(found.high, found.difference + reach) + shift_between(row, original)


def _closer(row: Row, other: Row, level: float) -> bool:
    found = kl_difference(row.divergence, other.divergence, level) if row.divergence and other.divergence else None
    return found is not None and found.is_significant and found.difference < -kl_moves(row, other)
