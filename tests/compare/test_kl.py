"""KL divergences of two recipes are compared on the same passages."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from qcompare.compare.kl import kl_difference
from qcompare.study.result import Divergence, PassageKL


def measured(values: list[float], tokens: list[int] | None = None, **changes: object) -> Divergence:
    sizes = tokens or [100] * len(values)
    spread = float(np.std(values, ddof=1) / len(values) ** 0.5)
    fields: dict[str, object] = {
        "kl": float(np.average(values, weights=sizes)),
        "kl_stderr": spread,
        "top1_agreement": 0.5,
        "perplexity": 20.0,
        "reference_perplexity": 12.0,
        "tokens": sum(sizes),
        "text": "stories",
        "passages": [PassageKL(tokens=n, kl=kl) for n, kl in zip(sizes, values, strict=True)],
    }
    return Divergence.model_validate(fields | changes)


PASSAGES = [0.2, 0.9, 0.5, 1.4, 0.3, 0.8]
"""Hard and easy ones: far apart, but alike for both recipes."""


def test_what_passages_share_cancels() -> None:
    ours, theirs = measured(PASSAGES), measured([kl + 0.02 + 0.001 * n for n, kl in enumerate(PASSAGES)])
    found = kl_difference(ours, theirs)
    assert found is not None and found.paired and found.is_significant
    alone = kl_difference(ours.model_copy(update={"passages": ()}), theirs)
    assert alone is not None and not alone.is_significant


def test_passages_of_equal_length_give_students_paired_test() -> None:
    ours, theirs = PASSAGES, [0.3, 0.8, 0.7, 1.5, 0.2, 1.0]
    found = kl_difference(measured(ours), measured(theirs))
    interval = ttest_rel(ours, theirs).confidence_interval(0.95)
    assert found is not None
    assert (found.difference - found.half, found.difference + found.half) == pytest.approx(tuple(interval))


def test_long_passages_weigh_more() -> None:
    tokens = [10, 300, 100, 20, 60, 40]
    ours, theirs = measured(PASSAGES, tokens), measured(PASSAGES[::-1], tokens)
    found = kl_difference(ours, theirs)
    assert found is not None and found.difference == pytest.approx(ours.kl - theirs.kl)


@pytest.mark.parametrize("change", [{"passages": ()}, {"text": "another"}])
def test_without_the_same_passages_the_comparison_is_unpaired_and_says_so(change: dict[str, object]) -> None:
    found = kl_difference(measured(PASSAGES), measured(PASSAGES, **change))
    assert found is not None and not found.paired


def test_a_single_passage_says_nothing() -> None:
    one = measured(PASSAGES).model_copy(update={"passages": (PassageKL(tokens=9, kl=0.2),), "kl_stderr": None})
    assert kl_difference(one, one) is None


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random, held = np.random.default_rng(3), 0
    for _ in range(400):
        shared, tokens = random.gamma(2, 0.3, 16), [int(n) for n in random.integers(40, 200, 16)]
        ours, theirs = (list(shared + random.normal(shift, 0.05, 16)) for shift in (0.1, 0.0))
        found = kl_difference(measured(ours, tokens), measured(theirs, tokens))
        held += found is not None and abs(found.difference - 0.1) <= found.half
    assert 0.92 <= held / 400 <= 0.98
