"""Vision-language models: their text part is found by name and size, quantized, and measured without images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from qcompare.evaluate.divergence import Passages, divergence, reference_states
from qcompare.models.facts import LocalModel, ModelFacts
from qcompare.models.layers import VISION_FAMILIES
from qcompare.models.loading import load
from qcompare.models.sources import describe
from qcompare.quantize.simulate import simulate
from qcompare.settings import Settings

TEXT = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "head_dim": 16, "bos_token_id": 0, "eos_token_id": 2,
    "pad_token_id": 2,
}  # fmt: skip
VISION = {
    "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 5, "depth": 5, "num_attention_heads": 2,
    "num_heads": 2, "image_size": 28, "patch_size": 14, "out_hidden_size": 64,
}  # fmt: skip
PARTS = {
    "gemma3": ("gemma3_text", "siglip_vision_model"),
    "llava": ("llama", "clip_vision_model"),
    "mistral3": ("mistral", "pixtral"),
    "qwen2_5_vl": (None, None),
    "qwen3_vl": (None, None),
    "smolvlm": ("llama", None),
}


@pytest.fixture(params=PARTS)
def folder(request: Any, tmp_path: Path, tokenizer_folder: Path) -> Path:
    """A random model whose vision part is larger than its text part."""
    from transformers import CONFIG_MAPPING, AutoModelForImageTextToText, AutoTokenizer

    text, vision = ({"model_type": kind} if kind else {} for kind in PARTS[request.param])
    if request.param.startswith("qwen"):
        text["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
    config = CONFIG_MAPPING[request.param](text_config=TEXT | text, vision_config=VISION | vision, pad_token_id=2)
    torch.manual_seed(0)
    AutoModelForImageTextToText.from_config(config, dtype=torch.float32).save_pretrained(tmp_path / "model")
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def loaded(folder: Path, settings: Settings) -> Callable[[], Any]:
    return lambda: load(LocalModel(folder, "tiny", "folder", "r"), "cpu", "float32", settings, False)[0]


@pytest.fixture
def facts(folder: Path, settings: Settings) -> ModelFacts:
    return describe(str(folder), settings)


def test_every_family_is_tested() -> None:
    assert set(PARTS) == set(VISION_FAMILIES)


def test_layers_of_the_text_part_are_quantized_and_measured(facts: ModelFacts, loaded: Callable[[], Any]) -> None:
    model = loaded()
    found = {n: tuple(m.weight.shape) for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    text = {n: shape for n, shape in found.items() if ".language_model." in n or ".text_model." in n}
    assert {layer.name: (layer.out_features, layer.in_features) for layer in facts.layers} == text
    assert len(text) == 14
    assert facts.lm_head and (facts.lm_head.out_features, facts.lm_head.in_features) == found["lm_head"]
    passages = Passages((tuple(range(3, 40)),), "")
    states = reference_states(model, passages)
    assert divergence(model, states, passages).kl == 0
    simulate(model, {layer.name: "MXFP4" for layer in facts.layers})
    assert divergence(model, states, passages).kl > 0
