"""Configs that are drawn fit the budget, and what is measured makes them better."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcompare.formats.bits import count
from qcompare.recipes.belief import Belief
from qcompare.recipes.groups import layer_groups, torn_groups
from qcompare.study.layers import LayerLosses

from .test_edges import llama_like

SCHEMES = ("MXFP4", "MXFP6", "MXFP8")
LAYERS = llama_like(4)


def made_up_losses(seed: int, off_by: float = 0.0) -> LayerLosses:
    """Losses of all layers, each times or over 1 + up to `off_by` by a seed of its own."""
    sizes, errors = random.Random(1), random.Random(seed)
    found: LayerLosses = {scheme: {} for scheme in SCHEMES}
    for layer in LAYERS:
        size = sizes.uniform(0.1, 4.0)
        for scheme, share in zip(SCHEMES, (1.0, 0.3, 0.05), strict=True):
            found[scheme][layer.name] = size * share * (1 + errors.uniform(0, off_by)) ** errors.choice((-1, 1))
    return found


def belief(losses: LayerLosses, avg_bits: float, shared: bool = False) -> Belief:
    return Belief(layer_groups(LAYERS, shared), SCHEMES, losses, avg_bits, True, seed=0)


@settings(max_examples=30)
@given(st.floats(4.0, 8.0), st.booleans(), st.integers(0, 5))
def test_every_draw_fits_the_budget_and_keeps_fused_layers_together(avg_bits: float, shared: bool, seed: int) -> None:
    believed = belief(made_up_losses(seed, 0.5), avg_bits, shared)
    for config in (believed.expected_best(), believed.draw(), believed.draw()):
        assert count(LAYERS, config, avg_bits).achieved <= avg_bits + 1e-9
        assert not shared or torn_groups(LAYERS, config) == []


@pytest.mark.parametrize("seed", range(4))
def test_measurements_bring_it_nearer_to_the_best(seed: int) -> None:
    truth = made_up_losses(0)

    def loss(config: dict[str, str]) -> float:
        return sum(truth[scheme][name] for name, scheme in config.items())

    believed = belief(made_up_losses(seed + 1, off_by=1.0), 5.0)
    least = loss(belief(truth, 5.0).expected_best())
    first = believed.expected_best()
    for _ in range(30):
        drawn = believed.draw()
        believed.learn(drawn, first, loss(drawn) - loss(first), stderr=0.01)
    last = believed.expected_best()
    assert loss(last) - least <= 0.6 * (loss(first) - least)
    assert believed.total(last) - believed.total(first) == pytest.approx(loss(last) - loss(first), abs=0.5)


def test_what_was_expected_teaches_nothing_about_the_size_of_losses() -> None:
    believed = belief(made_up_losses(1), 5.0)
    one, other = believed.draw(), believed.expected_best()
    before = believed.total(one), believed.total(other)
    believed.learn(one, other, before[0] - before[1], stderr=0.1)
    assert (believed.total(one), believed.total(other)) == pytest.approx(before)
