"""Counting bits: our figures are auto-round's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qcompare.errors import InvalidStudy
from qcompare.models.facts import LinearLayer
from qcompare.recipes.bits import bit_range, check_budget, count, layer_bits, stored_bytes
from qcompare.study.presets import SCHEMES

sizes = st.integers(1, 12).map(lambda n: 32 * n)
layer_lists = st.lists(st.tuples(sizes, sizes, st.integers(0, 5)), min_size=1, max_size=20).map(
    lambda rows: tuple(LinearLayer(f"layers.{b}.l{i}", x, y, b) for i, (x, y, b) in enumerate(rows))
)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_preset_figures_are_those_of_auto_round(scheme: str) -> None:
    from auto_round.schemes import preset_name_to_scheme

    preset = preset_name_to_scheme(scheme)
    assert (SCHEMES[scheme].bits, SCHEMES[scheme].group_size) == (preset.bits, preset.group_size)


@pytest.mark.parametrize("ignore", [True, False])
@pytest.mark.parametrize("shape", [(64, 32), (48, 40), (576, 192)])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_layer_bits_equal_those_of_auto_round(scheme: str, shape: tuple[int, int], ignore: bool) -> None:
    from auto_round.auto_scheme.utils import compute_layer_bits
    from auto_round.schemes import preset_name_to_scheme

    linear = torch.nn.Linear(*shape, bias=False)
    for key, value in preset_name_to_scheme(scheme).__dict__.items():
        setattr(linear, key, value)
    expected, _ = compute_layer_bits(linear, ignore)
    assert layer_bits(LinearLayer("x", shape[0], shape[1], 0), scheme, ignore) == expected


@given(layer_lists, st.booleans())
def test_every_mix_lies_within_the_range(layers: tuple[LinearLayer, ...], ignore: bool) -> None:
    low, high = bit_range(layers, ("MXFP4", "MXFP8"), ignore)
    config = {layer.name: ("MXFP4", "MXFP8")[i % 2] for i, layer in enumerate(layers)}
    bits = count(layers, config, 5.0)
    achieved = bits.achieved if ignore else bits.achieved_with_scales
    assert low <= achieved <= high
    assert bits.achieved <= bits.achieved_with_scales


def test_scales_add_a_quarter_bit_to_mxfp() -> None:
    layers = (LinearLayer("x", 64, 32, 0),)
    assert bit_range(layers, ("MXFP4", "MXFP8"), False) == (4.25, 8.25)


def test_unquantized_model_takes_two_bytes_a_weight() -> None:
    assert stored_bytes((LinearLayer("x", 64, 32, 0),), {}, 5000) == 10_000


@pytest.mark.parametrize("avg_bits", [3.9, 8.1])
def test_budget_out_of_reach_names_the_range(avg_bits: float) -> None:
    with pytest.raises(InvalidStudy, match=r"from 4 to 8"):
        check_budget(avg_bits, (LinearLayer("x", 64, 32, 0),), ("MXFP4", "MXFP8"), True)


def test_budget_a_hair_outside_means_the_end() -> None:
    assert check_budget(8.0005, (LinearLayer("x", 64, 32, 0),), ("MXFP4", "MXFP8"), True) == 8.0
