"""Counting bits: our figures are auto-round's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qcompare.errors import InvalidStudy
from qcompare.formats.bits import bit_range, check_budget, check_sizes, count, layer_bits, stored_bytes
from qcompare.formats.library import AutoRoundFormat, library_scheme
from qcompare.study.formats import SCHEMES, format_of
from qcompare.study.layers import LinearLayer

SIMULATED = [name for name in SCHEMES if (format := format_of(name)) is None or isinstance(format, AutoRoundFormat)]
sizes = st.integers(1, 12).map(lambda n: 32 * n)
layer_lists = st.lists(st.tuples(sizes, sizes, st.integers(0, 5)), min_size=1, max_size=20).map(
    lambda rows: tuple(LinearLayer(f"layers.{b}.l{i}", x, y, b) for i, (x, y, b) in enumerate(rows))
)


@pytest.mark.parametrize("scheme", SIMULATED)
def test_preset_figures_are_those_of_auto_round(scheme: str) -> None:
    preset = library_scheme(scheme)
    if scheme == "BF16":
        assert SCHEMES[scheme].bits == preset.bits
        return
    assert (SCHEMES[scheme].bits, SCHEMES[scheme].group_size) == (preset.bits, preset.group_size)


@pytest.mark.parametrize("ignore", [True, False])
@pytest.mark.parametrize("shape", [(64, 32), (48, 40), (576, 192)])
@pytest.mark.parametrize("scheme", SIMULATED)
def test_layer_bits_equal_those_of_auto_round(scheme: str, shape: tuple[int, int], ignore: bool) -> None:
    from auto_round.auto_scheme.utils import compute_layer_bits

    linear = torch.nn.Linear(*shape, bias=False)
    for key, value in library_scheme(scheme).__dict__.items():
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


def test_groups_that_do_not_fit_name_the_layer_its_size_and_what_works() -> None:
    layers = (LinearLayer("model.layers.0.mlp.down_proj", 1536, 576, 0), LinearLayer("layers.0.q_proj", 576, 576, 0))
    with pytest.raises(InvalidStudy, match=r"groups of 128.*layers\.0\.q_proj has 576.*64.*\[W2A16G64, W4A16G64\]"):
        check_sizes(layers, ("W2A16", "W4A16"))
    check_sizes(layers, ("W2A16G64", "W4A16G64", "BF16"))
    check_sizes(layers, ("MXFP4", "MXFP8"))


def test_outputs_that_kernels_cannot_take_are_refused() -> None:
    with pytest.raises(InvalidStudy, match="q_proj has 48"):
        check_sizes((LinearLayer("layers.0.q_proj", 128, 48, 0),), ("W2A16", "W4A16"))


def test_a_model_without_linear_layers_is_refused() -> None:
    with pytest.raises(InvalidStudy, match="no linear layers"):
        check_sizes((), ("MXFP4", "MXFP8"))
