"""From a recipe's name to a model in memory."""

import json
from pathlib import Path

import pytest

from qcompare.compare.sensitivity import sensitivities
from qcompare.recipes.building import Building
from qcompare.settings import Settings
from qcompare.study.spec import Study


def test_what_the_mixed_recipe_was_chosen_by_is_kept(
    tiny_llama: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = tmp_path / "text.jsonl"
    sentence = "The capital of France is Paris, and it is famous for the Eiffel Tower. "
    text.write_text("\n".join(json.dumps({"text": f"{n}. " + sentence * 12}) for n in range(12)))
    calibration = {"dataset": str(text), "num_samples": 4, "max_seq_length": 32}
    study = Study.model_validate({"model": str(tiny_llama), "calibration": calibration})
    building = Building(study, "mixed", 5.0, settings, "cpu", "float32")
    config = building.layer_config(building.fetch(), lambda done, total: None)
    scores = building.layer_scores
    assert scores is not None
    assert set(scores.losses) == set(scores.bits) == {"MXFP4", "MXFP8"}
    found = sensitivities(config, study.schemes, scores, by_scores=True)
    assert {each.layer for each in found} == set(config)
    raised = [each.worth for each in found if each.scheme == "MXFP8"]
    assert raised and min(worth or 0 for worth in raised) == 1.0


def test_recipes_that_follow_from_sizes_keep_no_scores(tiny_llama: Path, settings: Settings) -> None:
    building = Building(Study(model=str(tiny_llama)), "head", 5.0, settings, "cpu", "float32")
    building.layer_config(building.fetch(), lambda done, total: None)
    assert building.layer_scores is None
