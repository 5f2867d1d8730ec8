"""Mixtures of experts: their layers by name and size, and as simulated models."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from qcompare.evaluate.divergence import Passages, divergence, reference_states
from qcompare.formats.library import library_scheme
from qcompare.models.facts import LocalModel
from qcompare.models.layers import EXPERT_FAMILIES
from qcompare.models.loading import load
from qcompare.models.sources import describe
from qcompare.quantize.input_maxima import input_maxima
from qcompare.quantize.simulate import simulate
from qcompare.recipes.groups import layer_groups
from qcompare.settings import Settings

EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "num_hidden_layers": 2}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt_oss": ("GptOssConfig", {"num_local_experts": 4, "num_hidden_layers": 2, "head_dim": 32}),
    "mixtral": ("MixtralConfig", {"num_local_experts": 4, "num_hidden_layers": 2}),
    "olmoe": ("OlmoeConfig", {**EXPERTS}),
    "qwen2_moe": ("Qwen2MoeConfig", {**EXPERTS, "shared_expert_intermediate_size": 64}),
    "qwen3_moe": ("Qwen3MoeConfig", {**EXPERTS, "head_dim": 32}),
}
EACH = pytest.mark.parametrize("family", FAMILIES)
pytestmark = pytest.mark.filterwarnings("ignore")  # auto-round's own


@pytest.fixture
def folder(family: str, make_model: Callable[..., Path]) -> Path:
    config_class, changes = FAMILIES[family]
    return make_model(config_class, **changes)


def loaded(folder: Path, settings: Settings, dtype: str = "float32") -> tuple[Any, Any]:
    return load(LocalModel(folder, "tiny", "folder", "r"), "cpu", dtype, settings, False)


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.arange(40)[None]).logits


def test_every_family_is_tested() -> None:
    assert set(FAMILIES) == EXPERT_FAMILIES


@EACH
def test_layers_of_the_files_are_those_of_the_loaded_model(family: str, folder: Path, settings: Settings) -> None:
    layers = describe(str(folder), settings).layers
    model, _ = loaded(folder, settings)
    found = {
        name: tuple(module.weight.shape)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and ".layers." in name and not name.endswith("_gate")
    }
    assert {layer.name: (layer.out_features, layer.in_features) for layer in layers} == found
    assert sum(".experts." in layer.name for layer in layers) == 2 * 4 * 3
    for shared in (False, True):
        groups = layer_groups(layers, shared)
        assert [len(group) for group in groups if ".experts." in group[0].name] == [12, 12]


@EACH
def test_taking_experts_apart_changes_nothing(family: str, folder: Path, settings: Settings) -> None:
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    assert torch.equal(logits(plain), logits(loaded(folder, settings)[0]))


@EACH
def test_every_expert_is_simulated(family: str, folder: Path, settings: Settings) -> None:
    layers = describe(str(folder), settings).layers
    original, _ = loaded(folder, settings)
    model, _ = loaded(folder, settings)
    maxima = input_maxima(model, [layer.name for layer in layers], [list(range(40))])
    assert all(maxima.values())
    simulate(model, {layer.name: "NVFP4" for layer in layers}, input_maxima=maxima)
    assert all(
        not torch.equal(model.get_submodule(x.name).weight, original.get_submodule(x.name).weight) for x in layers
    )
    assert torch.isfinite(logits(model)).all()


@EACH
def test_predictions_of_a_simulated_model_are_compared(family: str, folder: Path, settings: Settings) -> None:
    passages = Passages((tuple(range(3, 40)),), "")
    model, _ = loaded(folder, settings)
    states = reference_states(model, passages)
    assert divergence(model, states, passages).kl == 0
    simulate(model, {layer.name: "MXFP4" for layer in describe(str(folder), settings).layers})
    assert divergence(model, states, passages).kl > 0


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe"])
def test_logits_equal_those_of_auto_rounds_model(
    family: str, folder: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the dtype to which auto-round casts a model with quantized activations: bfloat16 where the CPU has units."""
    from auto_round import AutoRound

    monkeypatch.chdir(tmp_path)  # auto-round leaves a work folder behind
    text = tmp_path / "text.jsonl"
    text.write_text("\n".join(json.dumps({"text": f"{n}. The capital of France is Paris. " * 8}) for n in range(4)))
    model, tokenizer = loaded(folder, settings, "bfloat16")
    layers = describe(str(folder), settings).layers
    rounder = AutoRound(
        model, tokenizer, scheme=library_scheme("MXFP4"), iters=0, disable_opt_rtn=True,
        disable_model_free=True, device_map="cpu", dataset=str(text), nsamples=4, seqlen=32,
    )  # fmt: skip
    theirs, _ = rounder.quantize()
    ours, _ = loaded(folder, settings, "bfloat16")
    if ours.dtype != theirs.dtype:  # a cast for nothing would still round the positions' frequencies
        ours.to(theirs.dtype)
    simulate(ours, {layer.name: "MXFP4" for layer in layers})
    assert torch.equal(logits(ours), logits(theirs))
