"""How small a difference so many questions can show, and how many it takes to show one."""

from collections.abc import Sequence
from math import ceil, sqrt
from statistics import NormalDist

from qcompare.compare.chance import LEVEL, Z95
from qcompare.compare.statistics import PairedDifference
from qcompare.study.task import TASKS

TYPICAL_CHANGED = 0.2
"""Share of answers that differ between two recipes, seen with 4-bit and mixed recipes: enough for a rule of thumb."""
Z_POWER = 0.84
"""Added where a difference should be found 4 times in 5, not every other time."""


def questions_needed(found: PairedDifference, comparisons: int = 1) -> float | None:
    """How many times as many questions would probably (4 in 5) show this difference, should it stay as measured.

    Args:
        comparisons: how many the claim is corrected for.

    Returns:
        At least 1; None when the difference is so small that no number would do (under 0.1 points).
    """
    if abs(found.difference) < 0.001:
        return None
    needed = _half_width(1 - (1 - LEVEL) / comparisons) + Z_POWER
    return max(1.0, (needed * standard_error(found) / found.difference) ** 2)


def standard_error(found: PairedDifference) -> float:
    """Standard error of a difference, as its interval implies it."""
    return (found.high - found.low) / (2 * _half_width(found.level))


def resolved_difference(found: PairedDifference, comparisons: int = 1) -> float:
    """The difference from which these questions would show one: half the width of its interval."""
    return standard_error(found) * _half_width(1 - (1 - LEVEL) / comparisons)


def _half_width(level: float) -> float:
    """Half the width of a normal interval, in standard errors."""
    return NormalDist().inv_cdf((1 + level) / 2)


def rounded_up(number: float) -> int:
    """A number of questions, no more exact than it is: one digit, upwards.

    >>> rounded_up(812.0), rounded_up(1130.0)
    (900, 2000)
    """
    unit = 10 ** max(0, len(str(ceil(number))) - 1)
    return int(ceil(number / unit) * unit)


def detectable_difference(tasks: Sequence[str], limit: int | None) -> float:
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
    return TASKS[task].count(limit)
