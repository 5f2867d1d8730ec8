"""A quantized output head in recipes that score with AutoScheme, and in those that write checkpoints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from qcompare.evaluate.divergence import Passages, divergence, reference_states
from qcompare.quantize.rounding import Rounding, round_in_memory
from qcompare.quantize.simulate import original_head
from qcompare.recipes.lab import Lab
from qcompare.recipes.mixed import head_protected
from qcompare.settings import Settings
from qcompare.study.spec import Study
from tests.recipes.test_best import text

__all__ = ["text"]
pytestmark = pytest.mark.filterwarnings("ignore")  # auto-round's and llm-compressor's own
PASSAGES = Passages((tuple(range(3, 43)), tuple(range(50, 90))), "")


@pytest.fixture(params=[False, True], ids=["untied", "tied"])
def folder(request: Any, make_model: Callable[..., Path]) -> Path:
    return make_model("LlamaConfig", tie_word_embeddings=request.param, num_hidden_layers=2)


@pytest.fixture
def make_lab(
    folder: Path, text: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Lab]:
    monkeypatch.chdir(tmp_path)  # auto-round leaves a work folder behind

    def make(recipe: Any, avg_bits: float | None = None, **study: Any) -> Lab:
        calibration = {"dataset": str(text), "num_samples": 4, "max_seq_length": 48}
        spec = Study.model_validate(
            {"model": str(folder), "calibration": calibration, "recipes": [recipe], "quant_lm_head": True, **study}
        )
        lab = Lab(spec, spec.recipes[0], avg_bits, settings, "cpu", "float32", tmp_path)  # type: ignore[arg-type]
        lab.fetch()
        lab.recipe.check(lab.context)
        return lab

    return make


def test_autoscheme_scores_the_head(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("mixed", 6.0)
    config = lab.recipe.choose(lab)
    assert lab.layer_scores
    assert all(its["lm_head"] > 0 for its in lab.layer_scores.losses.values())
    assert config["lm_head"] == "MXFP8"
    assert len(config) == len(lab.facts.layers) == 15


@pytest.mark.parametrize(
    ("schemes", "avg_bits", "penalized"),
    [
        (("MXFP4", "MXFP8"), 5.0, {"MXFP4"}),
        (("W2A16", "W4A16"), 3.0, {"W2A16"}),
        (("MXFP4", "MXFP6", "MXFP8"), 5.0, {"MXFP4"}),
        (("MXFP4", "MXFP6", "MXFP8"), 7.0, {"MXFP4", "MXFP6"}),
    ],
)
def test_the_head_gets_the_schemes_that_auto_round_lets_it_have(
    schemes: tuple[str, ...], avg_bits: float, penalized: set[str]
) -> None:
    losses = {scheme: {"lm_head": 1.0 / (1 + n), "other": 5.0} for n, scheme in enumerate(schemes)}
    found = head_protected(losses, schemes, avg_bits)
    assert {scheme for scheme in schemes if found[scheme]["lm_head"] > 5} == penalized
    assert all(found[scheme]["other"] == 5.0 for scheme in schemes)
    without = {scheme: {"other": 5.0} for scheme in schemes}
    assert head_protected(without, schemes, avg_bits) == without


@pytest.mark.parametrize(
    "recipe",
    [{"recipe": name} for name in ("rtn_fp8_dynamic", "gptq_w4a16")]
    + [{"recipe": name, "n_grid": 4} for name in ("awq_w4a16", "awq_fp8_dynamic")],
    ids=lambda recipe: recipe["recipe"],
)
def test_checkpoints_hold_the_head_and_are_compared_with_the_originals(
    recipe: Any, make_lab: Callable[..., Lab]
) -> None:
    lab = make_lab(recipe)
    config = lab.recipe.choose(lab)
    assert "lm_head" in config
    model, tokenizer = lab.load()
    states = reference_states(model, PASSAGES)
    head, embedding = (layer.weight.detach().clone() for layer in (model.lm_head, model.model.embed_tokens))
    found, _ = lab.recipe.build(lab, model, tokenizer, config)
    assert lab.checkpoint
    stored = json.loads((lab.checkpoint / "config.json").read_text())
    assert not stored["tie_word_embeddings"]
    assert "lm_head" not in stored["quantization_config"]["ignore"]
    assert torch.equal(found.model.embed_tokens.weight, embedding)
    assert not torch.equal(found.lm_head.weight, head)
    with original_head(found):
        assert torch.equal(found.get_output_embeddings().weight, head)
    assert 0 < divergence(found, states, PASSAGES).kl < 1


def test_auto_round_leaves_layers_that_no_scheme_is_named_for(make_lab: Callable[..., Lab], text: Path) -> None:
    lab = make_lab("uniform", schemes=("W4A16G32", "W8A16G32"), quant_lm_head=False, ignore=[r"re:.*q_proj"])
    model, tokenizer = lab.load()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = lab.recipe.choose(lab)
    found = round_in_memory(model, tokenizer, config, Rounding("rtn", 0, str(text), 4, 48, 42), "cpu").state_dict()
    same = {name for name in before if torch.equal(before[name], found[name])}
    assert {name for name in before if "_proj" in name} - same == {f"{name}.weight" for name in config}


def test_auto_round_rounds_a_head_too(make_lab: Callable[..., Lab], text: Path) -> None:
    lab = make_lab("uniform", schemes=("W4A16G32", "W8A16G32"))
    model, tokenizer = lab.load()
    head, embedding = model.lm_head.weight.detach().clone(), model.model.embed_tokens.weight.detach().clone()
    config = lab.recipe.choose(lab)
    rounding = Rounding("rtn", 0, str(text), 4, 48, 42)
    found = round_in_memory(model, tokenizer, config, rounding, "cpu")
    assert torch.equal(found.model.embed_tokens.weight, embedding)
    assert not torch.equal(found.get_output_embeddings().weight, head)
    with original_head(found):
        assert torch.equal(found.get_output_embeddings().weight, head)
