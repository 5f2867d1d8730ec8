"""Sizes as budgets, output heads that are quantized, layers that stay."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcompare.errors import InvalidStudy
from qcompare.formats.bits import stored_bytes
from qcompare.models.sources import describe
from qcompare.plan.plan import Plan, make_plan
from qcompare.settings import Settings
from qcompare.study.reading import parse_study

TIED_HEAD = 49152 * 576


def plan(settings: Settings, **values: Any) -> Plan:
    return make_plan(parse_study({"recipes": ["head"], **values}), settings)


@pytest.mark.parametrize("schemes", [["MXFP4", "MXFP8"], ["MXFP4", "FP8_DYNAMIC", "BF16"], ["W2A16G64", "W4A16G32"]])
@pytest.mark.parametrize("size", [122_000_000, 130_000_000])
def test_a_size_is_filled_and_not_exceeded(schemes: list[str], size: int, settings: Settings) -> None:
    if schemes[0] == "W2A16G64":
        size -= 20_000_000
    (row,) = plan(settings, schemes=schemes, max_size=size).jobs
    assert row.size_bytes and 0.99 * size < row.size_bytes <= size
    assert row.bits and row.avg_bits and row.bits.achieved_with_scales <= row.avg_bits


def test_sizes_of_a_study_hold_for_recipes_without_a_budget_of_their_own(settings: Settings) -> None:
    rows = plan(
        settings, max_size=["120 MB", "0.14 GB"],
        recipes=["bf16", "head", {"recipe": "tail", "avg_bits": 5}, {"recipe": "tail", "max_size": "125 MB"}],
    ).jobs  # fmt: skip
    assert [row.recipe.name for row in rows] == ["bf16", "head", "head", "tail", "tail"]
    assert rows[3].avg_bits == 5 and rows[3].bits and rows[3].bits.achieved == 5
    sizes = [row.size_bytes / 1e6 for row in (rows[1], rows[2], rows[4]) if row.size_bytes]
    assert [round(size) for size in sizes] == [120, 140, 125]


def test_a_size_out_of_reach_names_the_range(settings: Settings) -> None:
    with pytest.raises(
        InvalidStudy, match=r"max_size 60 MB is out of reach for MXFP4 \+ MXFP8: choose from 113.1 MB"
    ):
        plan(settings, max_size="60 MB")
    (row,) = plan(settings, max_size="9 GB").jobs  # more than it needs
    assert row.bits and row.bits.achieved == 8


def test_a_tied_head_that_is_quantized_is_stored_beside_the_embedding(settings: Settings) -> None:
    facts = describe("demo", settings)
    low = {layer.name: "MXFP4" for layer in facts.layers}
    (row,) = plan(settings, recipes=["uniform"], quant_lm_head=True).jobs
    assert row.size_bytes == stored_bytes(facts.layers, low, facts.num_params) + TIED_HEAD * 4.25 / 8


def test_an_untied_head_that_is_quantized_saves_its_bits(tiny_llama: Path, settings: Settings) -> None:
    plain, own = (
        plan(settings, model=str(tiny_llama), recipes=["uniform"], quant_lm_head=head).jobs[0].size_bytes
        for head in (False, True)
    )
    assert plain and own and plain - own == 512 * 64 * (16 - 4.25) / 8


def test_ignored_layers_stay_and_are_not_counted(tiny_llama: Path, settings: Settings) -> None:
    ignore = ["model.layers.0.mlp.down_proj", r"re:.*\.o_proj$"]
    study = parse_study({"model": str(tiny_llama), "recipes": [{"recipe": "uniform", "ignore": ignore}, "uniform"]})
    some, all_of_them = make_plan(study, settings).jobs
    assert some.size_bytes and all_of_them.size_bytes
    kept = 128 * 64 + 4 * 64 * 64
    assert some.size_bytes - all_of_them.size_bytes == kept * (16 - 4.25) / 8
    assert some.bits and some.bits.achieved == 4


@pytest.mark.parametrize(
    ("ignore", "reason"),
    [("q_proj", "unknown layer to ignore 'q_proj'"), ("re:.*", "ignore names every layer")],
)
def test_patterns_that_cannot_be_meant_are_refused(ignore: str, reason: str, settings: Settings) -> None:
    with pytest.raises(InvalidStudy, match=reason):
        plan(settings, ignore=ignore)


def test_a_model_with_a_quantized_head_still_knows_its_own_head(make_model: Callable[..., Path]) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from qcompare.quantize.simulate import original_head, simulate

    folder = make_model("LlamaConfig", tie_word_embeddings=True)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = torch.arange(12)[None]
    with torch.inference_mode():
        before = model(tokens).logits
        simulate(model, {"lm_head": "MXFP4"})
        rounded = model(tokens).logits
        assert not torch.equal(rounded, before)
        with original_head(model):
            assert torch.equal(model(tokens).logits, before)  # the embedding was not rounded with it
        assert torch.equal(model(tokens).logits, rounded)
