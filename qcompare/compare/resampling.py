"""Bootstrap of two recipes' averages on the same questions.

Questions are drawn anew with replacement, within each task. To keep intervals from being too narrow where only a
handful of answers changed, one pseudo-question lost, one gained and two unchanged are shared out among the tasks, as
in the adjusted interval for paired proportions of Agresti & Min (Statistics in Medicine 24, 2005): "not one answer
changed in 25" does not read as "no difference, certain".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
SEED = 20_260
PSEUDO = (0.5, 0.5, 0.5, 0.5)
"""Pseudo-questions right in both, lost, gained, wrong in both: shared among the tasks."""
KEPT = 128
"""Comparisons whose draws are remembered (160 kB each): a page drawn again resamples only what is new."""

Counts = tuple[int, int, int, int]
"""Questions of a task right in both, lost, gained, wrong in both."""


@dataclass(frozen=True)
class Draws:
    """What resampling makes of a comparison."""

    differences: NDArray[np.float64]
    """Of the averages, smallest first."""
    ratios: NDArray[np.float64]
    """Of the averages, smallest first."""

    @property
    def p(self) -> float:
        """Two-sided p: the level at which the interval would just touch zero, never quite 0."""
        side = min((self.differences <= 0).sum(), (self.differences >= 0).sum())
        return float(min(1.0, 2 * (side + 1) / (RESAMPLES + 1)))

    def interval(self, level: float) -> tuple[float, float]:
        """Ends for the difference. Zero lies outside exactly where `p` is at most `1 - level`."""
        return _ends(self.differences, level)

    def ratio_interval(self, level: float) -> tuple[float, float]:
        """Ends for the ratio."""
        return _ends(self.ratios, level)


def _ends(draws: NDArray[np.float64], level: float) -> tuple[float, float]:
    cut = max(1, int((1 - level) * (RESAMPLES + 1) / 2))
    return float(draws[cut - 1]), float(draws[-cut])


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
    return Draws(np.sort(differences), np.sort(ours / np.maximum(theirs, 1e-9)))


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
