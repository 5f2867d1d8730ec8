"""`head` and `tail`: whole blocks from one end, as near to the budget as the sizes allow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompare.formats.bits import count
from qcompare.recipes.edges import FILL_GAP, best_filling, edge_config
from qcompare.recipes.groups import layer_groups, torn_groups
from qcompare.study.layers import LinearLayer
from tests.formats.test_bits import layer_lists

SCHEMES = ("MXFP4", "MXFP8")


def llama_like(blocks: int = 30) -> tuple[LinearLayer, ...]:
    """The layers of a model of SmolLM2-135M's shape."""
    shapes = {"q": (576, 576), "k": (576, 192), "v": (576, 192), "o": (576, 576),
              "gate": (576, 1536), "up": (576, 1536), "down": (1536, 576)}  # fmt: skip
    return tuple(LinearLayer(f"layers.{b}.{n}_proj", *s, b) for b in range(blocks) for n, s in shapes.items())


@pytest.mark.parametrize("end", ["head", "tail"])
@pytest.mark.parametrize("avg_bits", [4.0, 4.3, 4.5, 5.0, 6.0, 7.77, 8.0])
def test_budget_is_met_within_two_hundredths_and_never_exceeded(end: str, avg_bits: float) -> None:
    layers = llama_like()
    bits = count(layers, edge_config(layer_groups(layers, False), SCHEMES, avg_bits, True, end), avg_bits)
    assert avg_bits - FILL_GAP <= bits.achieved <= avg_bits


def test_head_raises_the_last_blocks_and_tail_the_first() -> None:
    layers = llama_like()
    for end, inside, outside in (("head", 29, 0), ("tail", 0, 29)):
        config = edge_config(layer_groups(layers, False), SCHEMES, 5.0, True, end)
        assert {config[layer.name] for layer in layers if layer.block == inside} == {"MXFP8"}
        assert {config[layer.name] for layer in layers if layer.block == outside} == {"MXFP4"}


@pytest.mark.parametrize("end", ["head", "tail"])
def test_fused_layers_stay_together_when_asked(end: str) -> None:
    layers = llama_like()
    config = edge_config(layer_groups(layers, True), SCHEMES, 5.3, True, end)
    assert torn_groups(layers, config) == []
    assert 5.25 < count(layers, config, 5.3).achieved <= 5.3


def test_of_several_schemes_edges_use_the_lowest_and_the_highest() -> None:
    layers = llama_like()
    config = edge_config(layer_groups(layers, False), ("MXFP4", "MXFP6", "MXFP8", "BF16"), 6.0, True, "head")
    assert set(config.values()) == {"MXFP4", "BF16"}
    assert 5.98 <= count(layers, config, 6.0).achieved <= 6.0


@given(layer_lists, st.floats(4.0, 8.0), st.booleans())
def test_no_model_exceeds_its_budget(layers: tuple[LinearLayer, ...], avg_bits: float, ignore: bool) -> None:
    asked = avg_bits if ignore else avg_bits + 0.25
    bits = count(layers, edge_config(layer_groups(layers, False), SCHEMES, asked, ignore, "head"), asked)
    assert (bits.achieved if ignore else bits.achieved_with_scales) <= asked + 1e-3


@given(st.lists(st.integers(1, 60), max_size=9), st.integers(0, 200))
def test_filling_is_the_best_of_all_subsets(costs: list[int], room: int) -> None:
    cost = {f"l{i}": bits for i, bits in enumerate(costs)}
    sums = {0}
    for bits in costs:
        sums |= {total + bits for total in sums}
    assert sum(cost[name] for name in best_filling(cost, room)) == max(s for s in sums if s <= room)
