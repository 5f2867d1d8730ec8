"""Numerical noise: how far scores move where the same model is computed in another dtype.

A sample of a row's questions is answered in both (`study.noise`). Answers that flip at random, each for itself, move
an average over N questions by √(f/N), f being the share that flips: far less than the sample's own accuracy shows,
which is why its share is used and not its difference. Such flips differ from question to question, so the spread of
the questions (the paired bootstrap) contains those of both rows already, in expectation; to add them once more would
count them twice. They are used as a *floor*: an error of a difference is never taken to be smaller than that which
computing alone makes. Each computation is off by half of the variance of the difference of two.

A shift of all answers to one side is another thing: more questions do not remove it, and no spread shows it. It is
believed where the sample's flips lean to one side more than chance does (McNemar's exact test, at a level that holds
for the ten or so rows of a study together), and then widens what is compared by all of it.
"""

from math import sqrt

from qcompare.compare.chance import Z95, mcnemar
from qcompare.compare.table import Row

SHIFT_CHANCE = 0.005
"""A shift is believed where chance makes such flips less often than this: each row of a study is asked."""


def flip_variance(row: Row) -> float:
    """Variance of the change of a row's average through answers that flip at random in another dtype; 0 where that
    was not measured.

    The share of flips is the mean of its distribution under Jeffreys' prior: none in 48 does not say that none ever
    does. It holds for all of the row's tasks, those answered in writing too, which the sample leaves out.
    """
    noise, sizes = row.noise, [score.n for score in row.tasks if score.averaged and score.n]
    if noise is None or not noise.questions or not sizes:
        return 0.0
    share = (noise.lost + noise.gained + 0.5) / (noise.questions + 1)
    return share * sum(1 / size for size in sizes) / len(sizes) ** 2


def shift(row: Row) -> float:
    """By how much the row's average is higher in the other dtype, whatever is asked; 0 where chance explains it."""
    noise = row.noise
    if noise is None or not noise.questions or mcnemar(noise.lost, noise.gained) >= SHIFT_CHANCE:
        return 0.0
    return (noise.gained - noise.lost) / noise.questions


def half_width(row: Row) -> float | None:
    """How far from its average the row would be in the other dtype, 95 times in 100; None: not measured."""
    if row.noise is None or not row.noise.questions:
        return None
    return Z95 * sqrt(flip_variance(row)) + abs(shift(row))


def error_floor(row: Row, other: Row) -> float:
    """Standard error of the difference of two averages that random flips alone make."""
    return sqrt((flip_variance(row) + flip_variance(other)) / 2)


def shift_between(row: Row, other: Row) -> float:
    """How far apart two rows' averages are moved by the other dtype; at least 0."""
    return abs(shift(row) - shift(other))


def is_numerical(row: Row, other: Row, difference: float) -> bool:
    """A difference of two averages that computing in one dtype or the other makes by itself, so that it tells nothing
    about the rows. False where no noise was measured of either."""
    reach = Z95 * error_floor(row, other) + shift_between(row, other)
    return reach > 0 and abs(difference) <= reach


def kl_moves(row: Row, other: Row) -> float:
    """How far the other dtype moves the difference of two rows' KL divergences from the original, in nats per token;
    0 where that was not measured of both."""
    shifts = [each.noise.kl_shift for each in (row, other) if each.noise and each.noise.kl_shift is not None]
    return abs(shifts[0] - shifts[1]) if len(shifts) == 2 else 0.0


def kl_half_width(row: Row) -> float | None:
    """How far the other dtype moves a row's KL divergence from the original; None: not measured."""
    return None if row.noise is None or row.noise.kl_shift is None else abs(row.noise.kl_shift)
