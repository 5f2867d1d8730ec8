"""Rounding by auto-round itself: each way is a different one, and plain rounding is what `simulate` does."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from qcompare.quantize.rounding import Rounding, round_in_memory
from qcompare.quantize.simulate import simulate

pytestmark = pytest.mark.filterwarnings("ignore")  # auto-round's tuning, of many kinds


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "text.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"{n}. The capital of France is Paris. " * 8}) for n in range(4)))
    return str(path)


def load(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval(), AutoTokenizer.from_pretrained(folder)


def layer_config(model: Any) -> dict[str, str]:
    names = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"]
    return {name: "W4A16G32" if "down" in name else "W2A16G32" for name in names}


def test_the_three_roundings_differ_and_plain_rounding_is_the_simulated_one(
    tiny_llama: Path, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    found = {}
    for kind in ("rtn", "opt_rtn", "tuned"):
        model, tokenizer = load(tiny_llama)
        rounding = Rounding(kind, 10, text, num_samples=4, max_seq_length=32, seed=42)
        rounded = round_in_memory(model, tokenizer, layer_config(model), rounding, "cpu")
        found[kind] = dict(rounded.named_modules())["model.layers.0.mlp.up_proj"].weight.detach().float()
    model, _ = load(tiny_llama)
    original = model.model.layers[0].mlp.up_proj.weight.detach().clone()
    simulate(model, layer_config(model))
    assert torch.equal(found["rtn"], model.model.layers[0].mlp.up_proj.weight)
    errors = {kind: (weight - original).square().mean().item() for kind, weight in found.items()}
    assert errors["opt_rtn"] < errors["rtn"]
    assert not torch.equal(found["tuned"], found["rtn"])
    assert not torch.equal(found["tuned"], found["opt_rtn"])


@pytest.mark.parametrize("units", [True, False], ids=["bfloat16 units", "no bfloat16 units"])
@pytest.mark.parametrize("kind", ["rtn", "opt_rtn"])
def test_a_model_keeps_the_dtype_of_its_job_on_every_kind_of_cpu(
    kind: str, units: bool, tiny_llama: Path, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """auto-round alone would cast a float32 model to bfloat16 where the CPU has units for it."""
    from auto_round.utils.device_manager import CpuARDevice

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(CpuARDevice, "supports_bf16", lambda device: units)
    model, tokenizer = load(tiny_llama)
    rounding = Rounding(kind, 1, text, num_samples=4, max_seq_length=32, seed=42)
    rounded = round_in_memory(model, tokenizer, layer_config(model), rounding, "cpu")
    assert {weight.dtype for weight in rounded.parameters()} == {torch.float32}


def test_a_rounding_says_what_it_is() -> None:
    labels = [Rounding(kind, 200, None, 4, 32, 42).label for kind in ("rtn", "opt_rtn", "tuned")]
    assert labels == ["rtn", "opt_rtn", "tuned (200 iters)"]
