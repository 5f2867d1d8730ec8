"""FP8 and INT8, weights and activations: the values of compressed-tensors, and the logits of its checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from qcompare.models.facts import LocalModel
from qcompare.models.loading import load
from qcompare.quantize.fp8 import write_compressed
from qcompare.quantize.simulate import activation_rounding, simulate
from qcompare.settings import Settings
from qcompare.study.formats import SCHEMES

W8A8 = [name for name, scheme in SCHEMES.items() if scheme.format == "w8a8"]
NUMBERS = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


def theirs(x: torch.Tensor, scheme: str) -> torch.Tensor:
    """compressed-tensors' rounding of inputs of shape (rows, features)."""
    from compressed_tensors.quantization import preset_name_to_scheme
    from compressed_tensors.quantization.lifecycle.forward import fake_quantize
    from compressed_tensors.quantization.utils import compute_dynamic_scales_and_zp

    args = preset_name_to_scheme({"INT8_W8A8": "W8A8"}.get(scheme, scheme), ["Linear"]).input_activations
    scale, zero_point = compute_dynamic_scales_and_zp(x[None], args, torch.nn.Identity())
    return fake_quantize(x[None], scale, zero_point, args)[0]


def ours(x: torch.Tensor, scheme: str) -> torch.Tensor:
    rounding = activation_rounding(scheme)
    assert rounding
    return rounding(x)


@DTYPES
@pytest.mark.parametrize("scheme", W8A8)
def test_activations_are_those_of_compressed_tensors(scheme: str, dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(0)
    size = torch.exp2(torch.randint(-100, 100, (600, 1), generator=random).float())
    plain = torch.randn(600, 256, generator=random) * size
    coarse = plain.view(torch.int32).bitwise_and(-(1 << 19)).view(torch.float32)  # few mantissa bits: many ties
    x = torch.cat([plain, coarse, torch.zeros(1, 256)]).to(dtype)
    before = x.clone()
    assert torch.equal(ours(x, scheme), theirs(x, scheme))
    assert torch.equal(x, before)


@pytest.mark.parametrize("scheme", W8A8)
@given(values=arrays.arrays("float32", (2, 128), elements=NUMBERS))
@settings(max_examples=40)
def test_any_activations_are_those_of_compressed_tensors(scheme: str, values: Any) -> None:
    x = torch.from_numpy(values)
    assert torch.equal(ours(x, scheme), theirs(x, scheme))


@pytest.mark.filterwarnings("ignore")  # llm-compressor's own, of many kinds
@DTYPES
@pytest.mark.parametrize("scheme", W8A8)
def test_a_simulated_model_is_the_checkpoint_of_llm_compressor(
    scheme: str, dtype: torch.dtype, make_model: Callable[..., Path], tmp_path: Path, settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    folder = make_model("LlamaConfig", hidden_size=128, intermediate_size=256, num_key_value_heads=4)
    name = str(dtype).removeprefix("torch.")
    local = LocalModel(folder, "tiny", "folder", "r")
    model, tokenizer = load(local, "cpu", name, settings, False)
    layers = [name for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"]
    write_compressed(model, tokenizer, dict.fromkeys(layers, scheme), tmp_path / "out")
    checkpoint, _ = load(LocalModel(tmp_path / "out", "x", "folder", "r"), "cpu", name, settings, False)
    simulated, _ = load(local, "cpu", name, settings, False)
    tokens = tokenizer("The capital of France is Paris.", return_tensors="pt")
    with torch.inference_mode():
        original = simulated(**tokens).logits
        simulate(simulated, dict.fromkeys(layers, scheme))
        found = simulated(**tokens).logits
        assert torch.equal(found, checkpoint(**tokens).logits)
    assert not torch.equal(found, original)
