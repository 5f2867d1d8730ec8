"""NVFP4, weights and activations, as auto-round's own model computes it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from compressed_tensors.quantization import QuantizationStatus

from qcompare.formats import nvfp
from qcompare.formats.compiling import compiled
from qcompare.formats.library import library_scheme
from qcompare.formats.nvfp import scaled_rounding
from qcompare.formats.w8a8 import library_args
from qcompare.quantize.input_maxima import input_maxima
from qcompare.quantize.simulate import activation_rounding, simulate


@pytest.mark.parametrize("raised", [(), ("v_proj", "down_proj")], ids=["uniform", "with BF16 layers"])
def test_logits_equal_those_of_auto_rounds_model(
    raised: tuple[str, ...], tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the dtype to which auto-round casts a model with quantized activations: bfloat16 where the CPU has units."""
    from auto_round import AutoRound
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def load() -> Any:
        return AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.bfloat16).eval()

    monkeypatch.chdir(tmp_path)  # auto-round leaves a work folder behind
    text = tmp_path / "text.jsonl"
    sentence = "The capital of France is Paris, and it is famous for the Eiffel Tower. "
    text.write_text("\n".join(json.dumps({"text": f"{n}. " + sentence * 12}) for n in range(12)))
    model, tokenizer = load(), AutoTokenizer.from_pretrained(tiny_llama)
    layers = [name for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"]
    config = {name: "BF16" if name.endswith(raised or "-") else "NVFP4" for name in layers}
    kept = {name: dict(library_scheme("BF16")) for name, scheme in config.items() if scheme == "BF16"}
    rounder = AutoRound(
        model, tokenizer, scheme=library_scheme("NVFP4"), layer_config=kept, iters=0, disable_opt_rtn=True,
        disable_model_free=True, device_map="cpu", dataset=str(text), nsamples=4, seqlen=32,
    )  # fmt: skip
    theirs, _ = rounder.quantize()
    ours = load()
    if ours.dtype != theirs.dtype:  # a cast for nothing would still round the positions' frequencies
        ours.to(theirs.dtype)
    simulate(ours, config)
    tokens = tokenizer("The capital of France is Paris.", return_tensors="pt")
    with torch.inference_mode():
        assert torch.equal(ours(**tokens).logits, theirs(**tokens).logits)


def test_with_a_calibrated_scale_a_text_has_the_same_logits_in_every_batch(tiny_llama: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    layers = [name for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"]
    texts = ["The capital of France is Paris.", "It is famous for the Eiffel Tower and its museums."]
    rows = [tokenizer(text)["input_ids"] for text in texts]
    maxima = input_maxima(model, layers, rows)
    assert set(maxima) == set(layers) and min(maxima.values()) > 0
    simulate(model, dict.fromkeys(layers, "NVFP4"), input_maxima=maxima)
    length = min(map(len, rows))
    both = torch.tensor([row[:length] for row in rows])
    with torch.inference_mode():
        together, alone = model(both).logits[0], model(both[:1]).logits[0]
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_calibrated_scale_is_the_one_auto_round_stores(tiny_llama: Path) -> None:
    from auto_round.data_type.nvfp import nv_fp4_with_static_gs

    x = torch.randn(5, 64)
    expected, _, _ = nv_fp4_with_static_gs(x, tensor_max=7.0)
    rounding = activation_rounding("NVFP4", 7.0)
    assert rounding and torch.equal(rounding(x), expected)
    assert not torch.equal(expected, nv_fp4_with_static_gs(x)[0])


def hard_values() -> torch.Tensor:
    """Rows of many magnitudes, with ties of the small float, exact zeros and whole rows of zeros; shape (800, 80)."""
    random = torch.Generator().manual_seed(0)
    size = torch.exp2(torch.randint(-30, 12, (400, 1), generator=random).float())
    plain = torch.randn(400, 80, generator=random) * size
    coarse = plain.view(torch.int32).bitwise_and(-(1 << 20)).view(torch.float32)  # few mantissa bits: many ties
    values = torch.cat([plain, coarse])
    values[0], values[1, 1:] = 0, 0
    return values


DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])


@DTYPES
@pytest.mark.parametrize("maximum", [None, 3e-5, 1.0, 7.0, 3000.0])
def test_hard_values_are_rounded_as_auto_round_does(maximum: float | None, dtype: torch.dtype) -> None:
    from auto_round.data_type.nvfp import nv_fp4_with_static_gs

    x = hard_values().to(dtype)
    rounding = activation_rounding("NVFP4", maximum)
    assert rounding
    for rows in (x, x[:, :70]):  # 70: no multiple of a group
        found, (expected, _, _) = rounding(rows), nv_fp4_with_static_gs(rows, tensor_max=maximum)
        assert torch.equal(found, expected)
        assert found.dtype == dtype


@DTYPES
@pytest.mark.parametrize("scale_dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.9, 350.0, 90_000.0])
def test_hard_values_are_rounded_as_compressed_tensors_does(
    scale: float, scale_dtype: torch.dtype, dtype: torch.dtype
) -> None:
    from compressed_tensors.quantization.lifecycle.forward import forward_quantize

    layer = torch.nn.Linear(80, 8)
    layer.input_global_scale = torch.nn.Parameter(torch.tensor([scale], dtype=scale_dtype), requires_grad=False)
    layer.quantization_status = QuantizationStatus.FROZEN
    x = hard_values().to(dtype)
    expected = forward_quantize(layer, x, "input", library_args("NVFP4").input_activations)
    found = scaled_rounding(layer.input_global_scale, by_compressed_tensors=True)(x)
    assert torch.equal(found, expected)
    assert found.dtype == expected.dtype


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a compiler")
@pytest.mark.parametrize("function", [nvfp._as_auto_round, nvfp._as_compressed_tensors])
def test_compiled_as_on_cuda_it_gives_the_same(function: Any) -> None:
    x, scale = hard_values().reshape(-1, 16), torch.tensor([350.0])
    assert torch.equal(compiled(function)(x, scale), function(x, scale))
