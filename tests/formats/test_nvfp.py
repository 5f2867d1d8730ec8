"""NVFP4, weights and activations, as auto-round's own model computes it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from qcompare.formats.library import library_scheme
from qcompare.quantize.input_maxima import input_maxima
from qcompare.quantize.simulate import activation_rounding, simulate


@pytest.mark.parametrize("raised", [(), ("v_proj", "down_proj")], ids=["uniform", "with BF16 layers"])
def test_logits_equal_those_of_auto_rounds_model(
    raised: tuple[str, ...], tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16, to which auto-round casts a model whose activations are quantized."""
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
