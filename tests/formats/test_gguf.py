"""Schemes of GGUF files: the values that llama.cpp's own reader would read."""

import pytest
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

from qcompare.errors import InvalidStudy
from qcompare.formats.bits import check_sizes
from qcompare.formats.gguf import BLOCKS
from qcompare.quantize.simulate import activation_rounding, weight_rounding
from qcompare.study.formats import SCHEMES
from qcompare.study.layers import LinearLayer


@pytest.mark.parametrize("scheme", BLOCKS)
def test_sizes_are_those_of_the_gguf_library(scheme: str) -> None:
    _, block, num_bytes = BLOCKS[scheme]
    assert GGML_QUANT_SIZES[GGMLQuantizationType[scheme]] == (block, num_bytes)
    assert SCHEMES[scheme].stored_bits == 8 * num_bytes / block


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scheme", BLOCKS)
def test_more_bits_come_nearer_and_what_is_rounded_stays(scheme: str, dtype: torch.dtype) -> None:
    x = torch.randn(16, 512, generator=torch.Generator().manual_seed(0)).to(dtype)
    before = x.clone()
    found = weight_rounding(scheme)(x)
    assert found.dtype is dtype and torch.equal(x, before)
    error = float((found - x).float().pow(2).mean().sqrt())
    assert 0.1 < error * 2 ** SCHEMES[scheme].bits < 2.5
    assert activation_rounding(scheme) is None


@pytest.mark.parametrize("scheme", ["Q4_1", "Q5_1", "Q8_0"])
def test_plain_blocks_are_as_near_as_those_of_the_gguf_library(scheme: str) -> None:
    """auto-round rounds scales in another order, so single weights may differ by a step."""
    x = torch.randn(64, 256, generator=torch.Generator().manual_seed(1))
    kind = GGMLQuantizationType[scheme]
    theirs = torch.from_numpy(dequantize(quantize(x.numpy(), kind), kind))
    ours = weight_rounding(scheme)(x)
    assert float((ours - x).pow(2).mean()) == pytest.approx(float((theirs - x).pow(2).mean()), rel=0.02)


def test_blocks_that_inputs_do_not_fill_are_refused_with_those_that_fit() -> None:
    layers = (LinearLayer("model.layers.0.self_attn.q_proj", 576, 576, 0),)
    with pytest.raises(InvalidStudy, match=r"Q4_K needs inputs in blocks of 256.*q_proj has 576.*Q4_0, Q4_1"):
        check_sizes(layers, ("Q4_K", "Q6_K"))
    check_sizes(layers, ("Q4_0", "Q8_0", "BF16"))
