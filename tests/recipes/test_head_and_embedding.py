"""Output heads and embeddings that are quantized: scored, counted, and measured as a job measures them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from qcompare.errors import InvalidStudy
from qcompare.evaluate.divergence import Passages, divergence
from qcompare.models.sources import describe
from qcompare.plan.plan import make_plan
from qcompare.quantize.simulate import original_head, simulate
from qcompare.recipes.best import Best
from qcompare.settings import Settings
from qcompare.study.reading import parse_study
from tests.recipes.test_best import make_lab, text

__all__ = ["text"]
SCHEMES = ("W2A16G32", "W4A16G32")
BOTH = {"schemes": SCHEMES, "quant_lm_head": True, "quant_embedding": True}


@pytest.fixture(params=[False, True], ids=["untied", "tied"])
def folder(request: Any, make_model: Callable[..., Path]) -> Path:
    return make_model("LlamaConfig", tie_word_embeddings=request.param, num_hidden_layers=2)


def rows(folder: Path, settings: Settings, **study: Any) -> Any:
    values = {"model": str(folder), "recipes": ["uniform"], "schemes": SCHEMES, "avg_bits": [3.0], **study}
    return make_plan(parse_study(values), settings).jobs


@pytest.mark.parametrize("own", [{"quant_lm_head": True}, {"quant_embedding": True}, BOTH])
def test_what_the_search_measures_is_what_a_job_would_measure(
    own: dict[str, Any], folder: Path, text: Path, settings: Settings
) -> None:
    lab = make_lab(folder, text, settings, Best(effort="scores"), 3.0, **{"schemes": SCHEMES, **own})
    config = dict.fromkeys((layer.name for layer in lab.facts.layers), "W4A16G32")
    passage = Passages((tuple(lab.bench.texts[1][0]),), "")
    measured = lab.bench.kl(config, 0, 1)
    model, _ = lab.load()
    simulate(model, config)
    assert measured == [divergence(model, [lab.bench._reference[0]], passage).kl]


@pytest.mark.parametrize("scores", ["kl_fisher", "signed_gradient", "lowering", "data_free"])
def test_heads_and_embeddings_are_scored(scores: str, folder: Path, text: Path, settings: Settings) -> None:
    plain = make_lab(folder, text, settings, Best(effort="scores", scores=scores), 3.0, schemes=SCHEMES)
    plain.recipe.choose(plain)  # what it keeps must not be taken for scores of these layers
    lab = make_lab(folder, text, settings, Best(effort="scores", scores=scores), 3.0, **BOTH)
    lab.recipe.choose(lab)
    assert lab.layer_scores
    losses = lab.layer_scores.losses["W2A16G32"]
    assert set(losses) == {layer.name for layer in lab.facts.layers}
    outside = {"model.embed_tokens"} if lab.whole.tied else {"model.embed_tokens", "lm_head"}
    assert set(losses) - {layer.name for layer in lab.whole.layers} == outside
    assert all(any(its[name] for its in lab.layer_scores.losses.values()) for name in outside)


def test_predictions_hold_for_heads_and_embeddings(folder: Path, text: Path, settings: Settings) -> None:
    """At 4 bits, near the original, the scores add up to about the divergence that is measured."""
    lab = make_lab(folder, text, settings, Best(effort="scores"), 4.0, **BOTH | {"schemes": ("W4A16G32", "W8A16G32")})
    lab.recipe.choose(lab)
    assert lab.layer_scores
    outside = [layer for layer in lab.facts.layers if layer not in lab.whole.layers]
    for layer in outside:
        config = {layer.name: "W4A16G32"}
        found = lab.bench.kl(config, 0, lab.bench.passages)
        assert 1 / 3 < lab.layer_scores.total(config) * len(found) / sum(found) < 3  # of one layer, on four passages


def test_a_tied_embedding_is_rounded_with_the_head_and_the_original_head_is_known(
    make_model: Callable[..., Path], settings: Settings
) -> None:
    from transformers import AutoModelForCausalLM

    folder = make_model("LlamaConfig", tie_word_embeddings=True)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    hidden = torch.randn(1, 5, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = model.get_output_embeddings()(hidden)
        simulate(model, {"model.embed_tokens": "Q4_0"})
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
        assert not torch.equal(model.get_output_embeddings()(hidden), before)
        with original_head(model):
            assert torch.equal(model.get_output_embeddings()(hidden), before)


def test_an_embedding_is_counted_with_the_quantized_layers(folder: Path, settings: Settings) -> None:
    """512 tokens of 64 weights; a tied head is the same matrix and counts once."""
    schemes = ("Q4_0", "Q8_0")
    plain, embedding, both = (
        rows(folder, settings, schemes=schemes, avg_bits=[5.0], **own)[0]
        for own in ({}, {"quant_embedding": True}, {"quant_embedding": True, "quant_lm_head": True})
    )
    saved = 512 * 64 * (16 - 4.5) / 8
    tied = describe(str(folder), settings).tied
    assert plain.size_bytes - embedding.size_bytes == saved
    assert embedding.size_bytes - both.size_bytes == (0 if tied else saved)
    assert both.bits.achieved == 4


def test_tail_raises_the_embedding_first_and_head_last(tiny_llama: Path, text: Path, settings: Settings) -> None:
    for recipe, raised in (("tail", True), ("head", False)):
        study = {"recipes": [recipe], "avg_bits": [3.0], "quant_embedding": True}
        (job,) = rows(tiny_llama, settings, **study)
        lab = make_lab(tiny_llama, text, settings, job.recipe, 3.0, schemes=SCHEMES, quant_embedding=True)
        config = lab.recipe.config_from_sizes(lab.context)
        assert config
        assert (config["model.embed_tokens"] == "W4A16G32") is raised


@pytest.mark.parametrize(
    ("study", "reason"),
    [
        ({"schemes": ["MXFP4", "MXFP8"], "avg_bits": [5.0]}, "MXFP4 rounds inputs too, and an embedding has none"),
        ({"recipes": ["mixed"]}, "mixed has no score for the embedding: set its quant_embedding to false"),
        (
            {"recipes": [{"recipe": "best", "scores": "autoscheme"}]},
            "best with scores: autoscheme has no score for the embedding: set its quant_embedding to false, or "
            "choose other scores",
        ),
        ({"recipes": ["rtn_fp8_dynamic"]}, "leaves the embedding as it is: set its quant_embedding to false"),
        ({"rounding": "tuned"}, "embeddings are rounded to nearest only: set rounding to rtn"),
    ],
)
def test_what_cannot_quantize_an_embedding_says_so(
    study: dict[str, Any], reason: str, tiny_llama: Path, settings: Settings
) -> None:
    with pytest.raises(InvalidStudy, match=reason) as caught:
        rows(tiny_llama, settings, **{"quant_embedding": True, **study})
    assert "\n" not in str(caught.value)


def test_one_recipe_may_quantize_what_others_leave(tiny_llama: Path, settings: Settings) -> None:
    recipes = ["uniform", {"recipe": "uniform", "quant_embedding": True, "title": "All"}]
    plain, own = rows(tiny_llama, settings, recipes=recipes)
    assert plain.size_bytes > own.size_bytes
