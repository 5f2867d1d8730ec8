"""Recipes in a study file: a name, or a name with parameters of its own."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from qcompare.errors import InvalidStudy
from qcompare.plan.plan import make_plan
from qcompare.settings import Settings
from qcompare.study.reading import parse_study
from qcompare.study.recipe import RECIPES, recipe_of
from qcompare.study.spec import Study

WEIGHT_ONLY = {"recipe": "mixed", "schemes": ["W2A16G64", "W4A16G64"], "avg_bits": 3.0, "title": "Mixed W2/W4"}


def test_schemes_of_several_formats_can_be_mixed_where_one_checkpoint_holds_them() -> None:
    for schemes in (["NVFP4", "FP8_DYNAMIC"], ["MXFP4", "NVFP4", "FP8_BLOCK", "BF16"], ["W4A16", "W4A16G64"]):
        assert Study.model_validate({"schemes": schemes}).schemes == tuple(schemes)


def test_a_recipe_without_parameters_is_written_as_its_name() -> None:
    study = Study.model_validate({"recipes": ["bf16", {"recipe": "tail"}]})
    assert study == Study.model_validate({"recipes": ["bf16", "tail"]})
    assert yaml.safe_load(study.to_yaml())["recipes"] == ["bf16", "tail"]


def test_a_recipe_with_parameters_comes_back_from_file_and_store() -> None:
    study = Study.model_validate({"recipes": ["bf16", "mixed", WEIGHT_ONLY]})
    again = Study.model_validate(yaml.safe_load(study.to_yaml()))
    assert again == study == Study.model_validate_json(study.model_dump_json())
    assert yaml.safe_load(study.to_yaml())["recipes"][2] == WEIGHT_ONLY | {"avg_bits": [3.0]}
    assert recipe_of({"recipe": "mixed", **study.recipes[2].parameters}) == study.recipes[2]


def test_a_recipes_parameters_stand_in_place_of_the_studys() -> None:
    study = Study.model_validate({"recipes": [WEIGHT_ONLY, {"recipe": "uniform", "rounding": "opt_rtn"}]})
    mixed, uniform = (study.of_recipe(recipe) for recipe in study.recipes)
    assert (mixed.schemes, mixed.avg_bits, mixed.rounding) == (("W2A16G64", "W4A16G64"), (3.0,), "rtn")
    assert (uniform.schemes, uniform.avg_bits, uniform.rounding) == (study.schemes, study.avg_bits, "opt_rtn")


def test_one_study_holds_rows_of_several_formats(settings: Settings) -> None:
    study = Study.model_validate({"avg_bits": [5, 6], "recipes": ["bf16", "tail", WEIGHT_ONLY | {"recipe": "tail"}]})
    rows = make_plan(study, settings).jobs
    assert [(job.recipe.name, job.avg_bits, job.recipe.title) for job in rows] == [
        ("bf16", None, None), ("tail", 5, None), ("tail", 6, None), ("tail", 3, "Mixed W2/W4"),
    ]  # fmt: skip
    assert rows[3].bits and rows[3].bits.achieved <= 3.0


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ("mixd", "did you mean 'mixed'"),
        ({"recipe": "mixd"}, "did you mean 'mixed'"),
        ({"name": "mixed"}, "key 'recipe'"),
        (5, "key 'recipe'"),
        ({"recipe": "mixed", "avg_bit": 4}, r"mixed: unknown parameter 'avg_bit': did you mean 'avg_bits'"),
        ({"recipe": "mixed", "avg_bits": 99}, r"mixed: avg_bits: .*32"),
        ({"recipe": "bf16", "avg_bits": 4}, "bf16 takes no budget"),
        ({"recipe": "mixed", "schemes": ["MXFP4", "W8A16"]}, "cannot be stored in one checkpoint"),
        ({"recipe": "mixed", "schemes": ["MXFP4_RCEIL", "FP8_DYNAMIC"]}, "cannot be stored in one checkpoint"),
        ({"recipe": "mixed", "schemes": ["FP8_DYNAMIC", "INT8_W8A8"]}, "different bits"),
        ({"recipe": "mixed", "schemes": ["NVFP4", "MXFP4"]}, r"low first.*\[MXFP4, NVFP4\]"),
        ({"recipe": "layers"}, "layer_config"),
        ({"recipe": "layers", "layer_config": "/no/such/file"}, "cannot be read"),
    ],
)
def test_a_wrong_recipe_is_one_line_that_says_what_is_wrong(recipe: Any, reason: str) -> None:
    with pytest.raises(InvalidStudy, match=reason) as caught:
        parse_study({"recipes": [recipe]})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"max_size": "five"}, "must be a size such as '5 GB'"),
        ({"max_size": "0 GB"}, "max_size"),
        ({"ignore": ["re:("]}, r"re:\( is no regular expression"),
        ({"recipes": [{"recipe": "head", "avg_bits": 5, "max_size": "1 GB"}]}, "two budgets are given"),
        ({"recipes": [{"recipe": "uniform", "max_size": "1 GB"}]}, "uniform takes no budget: leave max_size out"),
    ],
)
def test_wrong_sizes_and_patterns_are_one_line(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidStudy, match=reason):
        parse_study(values)


def test_layers_of_ones_own_are_read_from_a_file_or_a_result(
    tiny_llama: Path, tmp_path: Path, settings: Settings
) -> None:
    name = "model.layers.0.mlp.down_proj"
    for text in (f"{name}: MXFP8", f'{{"layer_config": {{"{name}": "MXFP8"}}, "job_id": "x"}}'):
        file = tmp_path / "layers.yaml"
        file.write_text(text)
        study = parse_study({"model": str(tiny_llama), "recipes": [{"recipe": "layers", "layer_config": str(file)}]})
        file.unlink()  # its content is part of the study
        again = Study.model_validate_json(study.model_dump_json())
        (row,) = make_plan(again, settings).jobs
        assert row.bits and 15 < row.bits.achieved < 16


def test_layers_that_the_model_lacks_are_refused_by_name(tiny_llama: Path, settings: Settings) -> None:
    study = parse_study(
        {"model": str(tiny_llama), "recipes": [{"recipe": "layers", "layer_config": {"h.0": "MXFP4"}}]}
    )
    with pytest.raises(InvalidStudy, match=r"unknown layer 'h\.0'"):
        make_plan(study, settings)


def test_every_recipe_has_words_and_a_colour() -> None:
    for recipe in RECIPES.values():
        assert recipe.label and recipe.text.endswith(".") and len(recipe.colour) == 7
