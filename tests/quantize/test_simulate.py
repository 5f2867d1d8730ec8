"""Simulated formats behave as auto-round's own fake-quantized models."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from auto_round import AutoRound

from qcompare.demo.bundle import ensure_bundle
from qcompare.errors import JobError
from qcompare.formats.library import library_scheme
from qcompare.quantize import simulate as simulation
from qcompare.quantize.simulate import simulate
from qcompare.settings import Settings
from qcompare.study.formats import SCHEMES

MIXED = {"self_attn.v_proj": "MXFP8", "self_attn.k_proj": "MXFP8", "mlp.down_proj": "MXFP8"}
"""Layers that the mixed configuration raises; q and k get different schemes for one input."""


@pytest.fixture(params=[torch.bfloat16, torch.float32], ids=["bfloat16 units", "no bfloat16 units"])
def dtype(request: Any, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """The dtype to which auto-round casts a model on a CPU with units for bfloat16, and on one without."""
    from auto_round.utils.device_manager import CpuARDevice

    monkeypatch.setattr(CpuARDevice, "supports_bf16", lambda device: request.param is torch.bfloat16)
    return request.param


def load(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval(), AutoTokenizer.from_pretrained(folder)


def linear_names(model: Any) -> list[str]:
    return [name for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"]


def config_for(model: Any, low: str, raised: dict[str, str]) -> dict[str, str]:
    return {name: next((s for end, s in raised.items() if name.endswith(end)), low) for name in linear_names(model)}


def logits(model: Any, tokenizer: Any) -> torch.Tensor:
    text = "The capital of France is Paris, and it is famous for the Eiffel Tower, its museums and its food."
    with torch.inference_mode():
        return model(**tokenizer(text, return_tensors="pt")).logits


def auto_round_logits(
    folder: Path, scheme: str, raised: dict[str, str], dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of the model that auto-round returns, and of ours, for the same configuration and dtype."""
    model, tokenizer = load(folder, dtype)
    config = config_for(model, scheme, raised)
    changed = {name: dict(library_scheme(s)) for name, s in config.items() if s != scheme}
    rounder = AutoRound(
        model, tokenizer, scheme=library_scheme(scheme), layer_config=changed, iters=0, disable_opt_rtn=True,
        disable_model_free=True, device_map="cpu",
    )  # fmt: skip
    reference, _ = rounder.quantize()
    assert reference.dtype is dtype
    ours, _ = load(folder, dtype)
    simulate(ours, config)
    return logits(reference, tokenizer), logits(ours, tokenizer)


def test_all_weight_only_schemes_equal_auto_rounds_own(
    make_model: Callable[..., Path], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One model whose layers hold whole groups of 128, every scheme in some of its layers."""
    monkeypatch.chdir(tmp_path)
    folder = make_model("LlamaConfig", hidden_size=128, intermediate_size=256, num_hidden_layers=4)
    schemes = [name for name, scheme in SCHEMES.items() if scheme.format == "int"]
    raised = dict(zip(linear_names(load(folder)[0]), schemes, strict=False))
    assert len(raised) == len(schemes)
    reference, ours = auto_round_logits(folder, "W4A16", raised, dtype)
    assert torch.equal(reference, ours)


@pytest.mark.parametrize(
    ("folder", "scheme", "raised"),
    [
        ("tiny_llama", "MXFP4", {}),
        ("tiny_llama", "MXFP4", MIXED),
        ("tiny_llama", "MXFP4_RCEIL", MIXED),
        ("tiny_llama", "W2A16G64", {"v_proj": "W4A16G64", "down_proj": "W8A16G32"}),
        ("tiny_llama", "MXFP4", {"v_proj": "MXFP6", "down_proj": "BF16"}),
        ("tiny_qwen3", "MXFP4", MIXED),
        ("tiny_gemma", "MXFP4", MIXED),
    ],
)
def test_tiny_model_equals_auto_rounds_own(
    folder: str,
    scheme: str,
    raised: dict[str, str],
    dtype: torch.dtype,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)  # auto-round leaves a work folder behind
    if raised is MIXED:
        raised = {end: high + scheme.removeprefix("MXFP4") for end, high in raised.items()}
    reference, ours = auto_round_logits(request.getfixturevalue(folder), scheme, raised, dtype)
    assert torch.equal(reference, ours)


@pytest.mark.demo
@pytest.mark.parametrize("raised", [{}, MIXED], ids=["uniform", "mixed"])
def test_demo_model_equals_auto_rounds_own(
    demo_settings: Settings,
    raised: dict[str, str],
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The same weights, roundings and matrix products: not even the order of additions differs."""
    monkeypatch.chdir(tmp_path)
    folder = ensure_bundle(demo_settings).model
    reference, ours = auto_round_logits(folder, "MXFP4", raised, dtype)
    assert (reference - ours).abs().max().item() == 0.0


def test_layers_that_share_an_input_round_it_once(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = load(tiny_llama)
    calls: list[torch.Size] = []

    @cache
    def counting(scheme: str, maximum: float | None) -> Any:
        return lambda x: calls.append(x.shape) or x

    monkeypatch.setattr(simulation, "activation_rounding", counting)
    simulate(model, dict.fromkeys(linear_names(model), "MXFP4"))
    logits(model, tokenizer)
    assert len(calls) == 4 * model.config.num_hidden_layers  # qkv, o, gate and up, down


def test_a_recipe_of_another_model_is_refused_by_layer_name(tiny_llama: Path) -> None:
    model, _ = load(tiny_llama)
    with pytest.raises(JobError, match=r"model\.layers\.99\.q_proj"):
        simulate(model, {"model.layers.99.q_proj": "MXFP4"})
