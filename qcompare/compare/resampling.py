"""Bootstrap of two recipes' averages on the same questions.

Questions are drawn anew with replacement, within each task. To keep intervals from being too narrow where only a
handful of answers changed, one pseudo-question lost, one gained and two unchanged are shared out among the tasks, as
in the adjusted interval for paired proportions of Agresti & Min (Statistics in Medicine 24, 2005): "not one answer
changed in 25" does not read as "no difference, certain".
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import erfc, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
SEED = 20_260
PSEUDO = (0.5, 0.5, 0.5, 0.5)
"""Pseudo-questions right in both, lost, gained, wrong in both: shared among the tasks."""
IN_TAIL = 25
"""Draws in the smallest tail that is read from them: its share is known to a fifth."""
TAIL_Z = -NormalDist().inv_cdf(IN_TAIL / (RESAMPLES + 1))
"""Where a normal distribution has as small a tail, in standard deviations."""
READ = 250
"""Draws on each side that an interval of at least 95 % reaches."""
KEPT = 2048
"""Comparisons whose draws are remembered (8 kB each): a page drawn again resamples only what is new."""

Counts = tuple[int, int, int, int]
"""Questions of a task right in both, lost, gained, wrong in both."""


@dataclass(frozen=True)
class Draws:
    """What resampling makes of a comparison.

    Beyond the quantile of the last `IN_TAIL` draws each tail goes on as a normal one, with the draws' standard
    deviation: p-values have no floor, and the interval at any level leaves zero out exactly where p is below
    `1 - level`.
    """

    differences: NDArray[np.float64]
    """Of the averages: the `READ` smallest and the `READ` largest, in order."""
    ratios: NDArray[np.float64]
    """Likewise."""
    deviation: float
    """Standard deviation of all differences."""
    ratio_deviation: float
    side: int
    """Differences that are not above zero, or not below it, whichever are fewer."""

    @property
    def p(self) -> float:
        """Two-sided p: the level at which the interval would just touch zero, never 0."""
        low, high = self.differences[IN_TAIL - 1], self.differences[-IN_TAIL]
        if low <= 0 <= high:
            return min(1.0, 2 * (self.side + 1) / (RESAMPLES + 1))
        beyond = max(low, -high) / self.deviation
        return max(erfc((TAIL_Z + beyond) / sqrt(2)), sys.float_info.min)

    def interval(self, level: float) -> tuple[float, float]:
        """Ends for the difference. Zero lies outside exactly where `p` is at most `1 - level` (at most 0.05)."""
        low, high = _quantiles(self.differences, level)
        beyond = self.deviation * _beyond_resamples(level)
        return max(-1.0, low - beyond), min(1.0, high + beyond)

    def ratio_interval(self, level: float) -> tuple[float, float]:
        """Ends for the ratio. One lies outside exactly where zero lies outside `interval`."""
        low, high = _quantiles(self.ratios, level)
        difference_low, difference_high = _quantiles(self.differences, level)
        beyond = self.deviation * _beyond_resamples(level)
        low -= beyond * self._ratio_per_difference(low, difference_low)
        high += beyond * self._ratio_per_difference(high, difference_high)
        return max(0.0, low), high

    def _ratio_per_difference(self, ratio: float, difference: float) -> float:
        """How much the ratio changes with the difference; such that it passes 1 where the difference passes 0."""
        return (ratio - 1) / difference if difference else self.ratio_deviation / self.deviation


def _quantiles(draws: NDArray[np.float64], level: float) -> tuple[float, float]:
    cut = max(IN_TAIL, int((1 - level) * (RESAMPLES + 1) / 2))
    return float(draws[cut - 1]), float(draws[-cut])


def _beyond_resamples(level: float) -> float:
    """How far an interval of a level reaches beyond the last quantile that is read from the draws, in deviations."""
    return max(0.0, -NormalDist().inv_cdf((1 - level) / 2) - TAIL_Z)


@lru_cache(KEPT)
def resample(counts: tuple[Counts, ...]) -> Draws:
    """Draws of both averages from the counts of each task. Drawing n questions of four kinds is one multinomial draw.

    The same counts give the same draws.
    """
    random = np.random.default_rng(SEED)
    pseudo = np.array(PSEUDO) * 2 / len(counts)
    ours, theirs = np.zeros(RESAMPLES), np.zeros(RESAMPLES)
    for count in counts:
        drawn = _drawn(random, np.array(count), pseudo)
        ours += drawn[:, 0] + drawn[:, 2]
        theirs += drawn[:, 0] + drawn[:, 1]
    differences = (ours - theirs) / len(counts)
    ratios = ours / np.maximum(theirs, 1e-9)
    side = min((differences <= 0).sum(), (differences >= 0).sum())
    return Draws(_tails(differences), _tails(ratios), float(differences.std()), float(ratios.std()), int(side))


def _tails(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    draws = np.sort(draws)
    return np.concatenate([draws[:READ], draws[-READ:]])


def _drawn(random: np.random.Generator, count: NDArray[np.int64], pseudo: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of the four kinds, shape (RESAMPLES, 4)."""
    weights, questions = count + pseudo, count.sum()
    drawn: NDArray[np.int64] = random.multinomial(questions, weights / weights.sum(), size=RESAMPLES)
    shares: NDArray[np.float64] = drawn / questions
    return shares


def averages(counts: Sequence[Counts]) -> tuple[float, float]:
    """Both averages, ours first; tasks weigh the same."""
    ours = sum((both + gained) / (both + lost + gained + neither) for both, lost, gained, neither in counts)
    theirs = sum((both + lost) / (both + lost + gained + neither) for both, lost, gained, neither in counts)
    return ours / len(counts), theirs / len(counts)
