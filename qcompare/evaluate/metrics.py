"""lm-eval's metrics: which one is a task's value, and how it varies when questions are drawn anew."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
SLOW_RESAMPLES = 100
"""Of metrics that only lm-eval's own function can make of a set of questions (BLEU, Matthews): its own number too."""
SEED = 20_260
DIGITS = 7


@dataclass(frozen=True)
class Aggregation:
    """The values of a metric by question, and what makes one number of them."""

    values: Sequence[Any]
    function: Callable[[Sequence[Any]], float] | None
    """lm-eval's; None: the mean."""

    @property
    def name(self) -> str:
        """As in lm-eval."""
        return getattr(self.function, "__name__", "") if self.function else "mean"


def main_metric(values: Mapping[str, Any], tasks: Iterable[Any]) -> str:
    """The metric that is a task's value, as `name,filter`: `acc` where it has one, else its own first one.

    Args:
        values: lm-eval's results of the task or group.
        tasks: lm-eval's tasks that it consists of.
    """
    keys = [key for key in values if "," in key and not key.split(",")[0].endswith("_stderr")]
    listed = [
        str(each["metric"])
        for task in tasks
        for each in task.config.metric_list or []
        if isinstance(each["metric"], str)
    ]
    for name in ("acc", *listed):
        for key in keys:
            if key.split(",")[0] == name:
                return key
    return keys[0]


def weighted_mean(parts: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The results of a group for which lm-eval defines none: means of the metrics that all parts have, by size."""
    sizes = [int(part["sample_len"]) for part in parts]
    shared = [key for key in parts[0] if "," in key and all(isinstance(part.get(key), int | float) for part in parts)]
    means = {key: sum(n * part[key] for n, part in zip(sizes, parts, strict=True)) / sum(sizes) for key in shared}
    return {key: value for key, value in means.items() if "_stderr," not in key}


def resampled(parts: Sequence[Aggregation], by_size: bool) -> tuple[float, ...]:
    """The metric of questions drawn anew with replacement, within each part; draws follow from their number alone, so
    those of two models are of the same questions."""
    count = RESAMPLES if all(_statistic(part.name) for part in parts) else SLOW_RESAMPLES
    weights = [len(part.values) if by_size else 1 for part in parts]
    total = np.zeros(count)
    for number, (part, weight) in enumerate(zip(parts, weights, strict=True)):
        total += weight / sum(weights) * _draws(part, count, number)
    return tuple(float(f"{value:.{DIGITS}g}") for value in total if np.isfinite(value))


def _draws(part: Aggregation, count: int, number: int) -> NDArray[np.float64]:
    random = np.random.default_rng([SEED, number, len(part.values)])
    drawn = (random.integers(len(part.values), size=len(part.values)) for _ in range(count))
    statistic = _statistic(part.name)
    if statistic is None:
        assert part.function
        return np.array([part.function([part.values[n] for n in some]) for some in drawn], np.float64)
    pairs = [value if isinstance(value, tuple | list) else (value, 1) for value in part.values]
    sums, sizes = np.array(pairs, np.float64).T
    return np.array([statistic(float(sums[some].sum()), float(sizes[some].sum())) for some in drawn])


def _statistic(name: str) -> Callable[[float, float], float] | None:
    """What lm-eval's function of that name makes of the sum of values and of weights; None for others."""
    known: dict[str, Callable[[float, float], float]] = {
        "mean": lambda total, size: total / size,
        "perplexity": lambda total, size: float(np.exp(-total / size)),
        "weighted_perplexity": lambda total, size: float(np.exp(-total / size)),
        "bits_per_byte": lambda total, size: float(-total / size / np.log(2)),
    }
    return known.get(name)
