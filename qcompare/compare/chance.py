"""What chance alone would do: McNemar's exact test, and Holm's correction where several things are compared."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

LEVEL = 0.95
"""Claims hold so often: alone, and all of one table together."""
Z95 = 1.96
Key = TypeVar("Key", bound=Hashable)


def mcnemar(lost: int, gained: int) -> float:
    """Exact p of McNemar's test: how often a fair coin would split the changed answers so unevenly.

    Not statsmodels' `mcnemar`, which does the same: loading it and scipy's distributions takes longer than all else
    that a page of results needs.

    >>> mcnemar(0, 0), mcnemar(0, 4)
    (1.0, 0.125)
    """
    from scipy.special import bdtr

    return float(min(1.0, 2 * bdtr(min(lost, gained), lost + gained, 0.5)))


def holm(values: Mapping[Key, float]) -> dict[Key, float]:
    """p-values corrected so that all claims at a level hold together (Holm 1979), by the same keys.

    Not statsmodels' `multipletests`, which collects garbage on every call: 45 ms for what takes microseconds.
    """
    corrected: dict[Key, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(values, key=lambda name: values[name])):
        largest = max(largest, min(1.0, (len(values) - rank) * values[name]))
        corrected[name] = largest
    return corrected


def holm_levels(values: Mapping[Key, float]) -> dict[Key, float]:
    """Confidence at which Holm's rule tests each comparison, by the keys of its p-value.

    The smallest p is tested as one of all, the next as one of those left, and so on to the first that is not
    significant; that one's level holds for all others. An interval of this level leaves zero out exactly where `holm`
    is below `1 - LEVEL`, and is never narrower than one of `LEVEL`.

    >>> holm_levels({"x": 0.001, "y": 0.04, "z": 0.03})
    {'x': 0.9833333333333333, 'z': 0.975, 'y': 0.975}
    """
    corrected, left = holm(values), len(values)
    found: dict[Key, float] = {}
    for name in sorted(values, key=lambda name: values[name]):
        found[name] = 1 - (1 - LEVEL) / left
        left -= corrected[name] < 1 - LEVEL
    return found
