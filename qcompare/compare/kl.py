"""Which of two recipes predicts more like the original, token by token, on the same held-out text."""

from dataclasses import dataclass
from math import hypot, sqrt
from statistics import NormalDist

import numpy as np

from qcompare.compare.chance import LEVEL
from qcompare.study.result import Divergence


@dataclass(frozen=True)
class KLDifference:
    """Difference of two recipes' mean KL divergences from the original."""

    difference: float
    """Ours − theirs, in nats per token."""
    half: float
    """Half of its interval."""
    paired: bool
    """Compared passage by passage. If not, a result of version 0.1 lacks them: the errors were taken as independent,
    which overstates the error, since both recipes read the same text."""

    @property
    def is_significant(self) -> bool:
        """The interval excludes zero."""
        return abs(self.difference) > self.half


def kl_difference(ours: Divergence, theirs: Divergence, level: float = LEVEL) -> KLDifference | None:
    """Compare two KL divergences, passage by passage where both results hold the same passages.

    The mean per token is a ratio of sums over passages, and its error that of a ratio estimator (Cochran, Sampling
    Techniques, 3rd ed., 6.4), with Student's t for the number of passages.

    Args:
        level: of the interval.

    Returns:
        None when neither pairing nor both standard errors are known.
    """
    if _same_passages(ours, theirs):
        return _paired(ours, theirs, level)
    if ours.kl_stderr is None or theirs.kl_stderr is None:
        return None
    z = NormalDist().inv_cdf((1 + level) / 2)
    return KLDifference(ours.kl - theirs.kl, z * hypot(ours.kl_stderr, theirs.kl_stderr), paired=False)


def _same_passages(ours: Divergence, theirs: Divergence) -> bool:
    return (
        ours.text == theirs.text
        and len(ours.passages) > 1
        and [each.tokens for each in ours.passages] == [each.tokens for each in theirs.passages]
    )


def _paired(ours: Divergence, theirs: Divergence, level: float) -> KLDifference:
    from scipy.special import stdtrit

    tokens = np.array([each.tokens for each in ours.passages])
    differences = np.array([a.kl - b.kl for a, b in zip(ours.passages, theirs.passages, strict=True)])
    mean = float((tokens * differences).sum() / tokens.sum())
    count = len(tokens)
    stderr = sqrt(((tokens * (differences - mean)) ** 2).sum() * count / (count - 1)) / tokens.sum()
    return KLDifference(mean, float(stdtrit(count - 1, (1 + level) / 2)) * stderr, paired=True)
