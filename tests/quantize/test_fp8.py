"""FP8 checkpoints: written, loaded again, and what AWQ did to them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from qcompare.models.facts import LocalModel
from qcompare.models.loading import load
from qcompare.quantize.fp8 import write_compressed
from qcompare.quantize.reloaded import speed_up_reloaded
from qcompare.recipes.calibration import token_rows
from qcompare.settings import Settings
from qcompare.study.recipe import RECIPES
from qcompare.study.spec import Calibration

pytestmark = pytest.mark.filterwarnings("ignore")  # llm-compressor's own, of many kinds


@pytest.fixture(scope="module")
def wide_llama(make_model: Callable[..., Path]) -> Path:
    """Whole 128 × 128 blocks; as many key as query heads, so that AWQ can use every mapping."""
    return make_model(
        "LlamaConfig", hidden_size=128, intermediate_size=256, num_hidden_layers=1, num_key_value_heads=4
    )


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"{n}. The capital of France is Paris. " * 8}) for n in range(4)))
    return path


LAYERS = (
    *(f"self_attn.{name}_proj" for name in "qkvo"),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
)


def logits(model: Any, tokenizer: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(**tokenizer("The capital of France is Paris.", return_tensors="pt")).logits


@pytest.mark.parametrize("recipe", [name for name, recipe in RECIPES.items() if recipe.writes])
def test_a_checkpoint_is_written_and_its_reloaded_model_stays_near_the_original(
    recipe: str, wide_llama: Path, text: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(wide_llama, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(wide_llama)
    original = logits(model, tokenizer)
    rows = token_rows(str(text), Calibration(num_samples=2, max_seq_length=32), tokenizer)
    steps: list[tuple[int, int]] = []
    out = tmp_path / "checkpoint"
    layers = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    awq = write_compressed(
        model,
        tokenizer,
        {name: RECIPES[recipe].writes for name in layers if name != "lm_head"},
        out,
        lambda d, t: steps.append((d, t)),
        rows=None if recipe.startswith("rtn") else rows,
        n_grid=4 if recipe.startswith("awq") else None,
        gptq=recipe.startswith("gptq"),
    )
    config = json.loads((out / "config.json").read_text())["quantization_config"]
    assert config["quant_method"] == "compressed-tensors"
    loaded, tokenizer = load(LocalModel(out, "x", "folder", "r"), "cpu", "float32", settings, False)
    found = logits(loaded, tokenizer)
    speed_up_reloaded(loaded)
    assert torch.equal(logits(loaded, tokenizer), found)
    assert 0 < (found - original).abs().mean() < (0.5 if "w4a16" in recipe else 0.1) * original.std()
    assert (awq is not None) is recipe.startswith("awq")
    if awq:
        assert len(awq.applied) == 4
        assert awq.skipped == ()
        assert steps[-1] == (4, 4)


def test_mappings_that_awq_leaves_out_are_named(
    make_model: Callable[..., Path], text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fewer key than query heads, v_proj cannot be scaled against o_proj."""
    monkeypatch.chdir(tmp_path)
    folder = make_model("LlamaConfig", num_hidden_layers=1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = token_rows(str(text), Calibration(num_samples=2, max_seq_length=32), tokenizer)
    config = dict.fromkeys((f"model.layers.0.{name}" for name in LAYERS), "FP8_DYNAMIC")
    awq = write_compressed(model, tokenizer, config, tmp_path / "out", rows=rows, n_grid=4)
    assert awq
    assert len(awq.applied) == 3
    assert awq.skipped == ("model.layers.0.self_attn.v_proj → o_proj",)
