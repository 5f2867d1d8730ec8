"""Weights are rounded once, activations and changed weights every time. (Parity is tested with the scores.)"""

from typing import Any

import pytest
import torch

from qcompare.recipes.remembered import remembered_roundings

ASKED = ("mx_fp", 4, True, True, 32)


def rounding() -> Any:
    from auto_round import wrapper

    function, data_type = wrapper.get_quant_func(*ASKED)
    return lambda x, bits=4: function(x, bits=bits, group_size=32, data_type=data_type)[0]


@pytest.fixture
def weight() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.randn(8, 64), requires_grad=False)


def test_a_weight_is_rounded_once_for_each_number_of_bits(weight: torch.nn.Parameter) -> None:
    expected = {bits: rounding()(weight, bits) for bits in (4, 8)}
    with remembered_roundings("cpu"):
        for bits in (4, 8):
            first = rounding()(weight, bits)
            assert rounding()(weight, bits) is first
            assert torch.equal(first, expected[bits])


def test_what_changes_is_rounded_anew(weight: torch.nn.Parameter) -> None:
    with remembered_roundings("cpu"):
        before = rounding()(weight)
        weight.data.mul_(3)
        weight.add_(1)
        assert not torch.equal(rounding()(weight), before)
        activation = torch.randn(8, 64)
        assert rounding()(activation) is not rounding()(activation)


def test_nothing_is_remembered_elsewhere_or_without_room(
    weight: torch.nn.Parameter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with remembered_roundings("cuda"):
        assert rounding()(weight) is not rounding()(weight)
    monkeypatch.setattr("qcompare.recipes.remembered.SHARE", 0.0)
    with remembered_roundings("cpu"):
        assert rounding()(weight) is not rounding()(weight)
