"""Our rounding to microscaling floats gives auto-round's values, bit for bit."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from qcompare.formats.compiling import compiled
from qcompare.formats.library import library_scheme
from qcompare.formats.mxfp import BELOW_HALF, Microscaling
from qcompare.quantize.simulate import activation_rounding, weight_rounding
from qcompare.study.formats import SCHEMES

MICROSCALING = [name for name in SCHEMES if name.startswith("MX")]
KINDS = ("", "act_")
NUMBERS = st.floats(-(2.0**120), 2.0**120, width=32, allow_subnormal=False)
TENSORS = arrays.arrays("float32", (3, 64), elements=NUMBERS)


@dataclass(frozen=True)
class Pair:
    """auto-round's rounding of a scheme's weights or activations, and ours."""

    theirs: Callable[[torch.Tensor], torch.Tensor]
    ours: Callable[[torch.Tensor], torch.Tensor]


def pair(scheme: str, kind: str = "") -> Pair:
    from auto_round.data_type.utils import get_quant_func

    preset = library_scheme(scheme)
    bits, group_size = preset[f"{kind}bits"], preset[f"{kind}group_size"]
    function, data_type = get_quant_func(
        preset[f"{kind}data_type"], bits, preset[f"{kind}sym"], disable_opt_rtn=True, iters=0, group_size=group_size
    )
    ours = Microscaling.of(function, data_type, bits, group_size)
    assert ours is not None
    return Pair(lambda x: function(x, bits=bits, group_size=group_size, data_type=data_type)[0], ours.round)


def hard_values() -> torch.Tensor:
    """Rows of all magnitudes, with ties, powers of two, and the neighbours of both; shape (1200, 96)."""
    random = torch.Generator().manual_seed(0)
    size = torch.exp2(torch.randint(-120, 110, (400, 1), generator=random).float())
    plain = torch.randn(400, 96, generator=random) * size
    coarse = plain.view(torch.int32).bitwise_and(-(1 << 19)).view(torch.float32)  # few mantissa bits: many ties
    steps = torch.randint(-3, 4, (400, 96), generator=random, dtype=torch.int32)
    near = (coarse.view(torch.int32) + steps).view(torch.float32)
    values = torch.cat([plain, coarse, near])
    values[0], values[1, 1:] = 0, 0
    return values


@pytest.mark.parametrize("scheme", MICROSCALING)
@pytest.mark.parametrize("kind", KINDS)
def test_hard_values_are_rounded_as_auto_round_does(scheme: str, kind: str) -> None:
    found = pair(scheme, kind)
    for x in (hard_values(), hard_values().to(torch.bfloat16)):
        assert torch.equal(found.ours(x), found.theirs(x))
        assert found.ours(x).dtype == x.dtype


@pytest.mark.parametrize("scheme", MICROSCALING)
@given(values=TENSORS)
@settings(max_examples=50, deadline=None)
def test_any_values_are_rounded_as_auto_round_does(scheme: str, values: Any) -> None:
    x = torch.from_numpy(values)
    assert torch.equal(weight_rounding(scheme)(x), pair(scheme).theirs(x))
    assert torch.equal(activation_rounding(scheme)(x), pair(scheme, "act_").theirs(x))


def test_the_float_before_a_half_goes_up_as_in_auto_round() -> None:
    x = torch.zeros(1, 32)
    x[0, :3] = torch.tensor([4.0, BELOW_HALF / 2, -BELOW_HALF / 2])
    for found in (pair("MXFP4").ours(x), pair("MXFP4").theirs(x)):
        assert found[0, 1:3].tolist() == [0.5, -0.5]


@pytest.mark.parametrize("features", [5, 33, 95])
def test_inputs_that_are_no_multiple_of_a_group(features: int) -> None:
    x = torch.randn(7, features, generator=torch.Generator().manual_seed(features))
    assert torch.equal(pair("MXFP8").ours(x), pair("MXFP8").theirs(x))


def test_the_input_stays_as_it_was() -> None:
    x = hard_values()
    weight_rounding("MXFP4")(x)
    assert torch.equal(x, hard_values())


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a compiler")
def test_compiled_as_on_cuda_it_gives_the_same() -> None:
    ours, x = pair("MXFP4").ours, hard_values()
    assert torch.equal(compiled(ours)(x), ours(x))
