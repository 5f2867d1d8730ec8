"""From a recipe's name to a model in memory."""

import json
from pathlib import Path

import pytest

from qcompare.compare.sensitivity import sensitivities
from qcompare.recipes.edges import Head
from qcompare.recipes.lab import Lab
from qcompare.recipes.mixed import Mixed
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
    lab = Lab(study, Mixed(), 5.0, settings, "cpu", "float32", tmp_path)
    lab.fetch()
    config = lab.recipe.choose(lab)
    scores = lab.layer_scores
    assert scores is not None
    assert set(scores.losses) == set(scores.bits) == {"MXFP4", "MXFP8"}
    found = sensitivities(config, study.schemes, scores, by_scores=True)
    assert {each.layer for each in found} == set(config)
    raised = [each.worth for each in found if each.scheme == "MXFP8"]
    assert raised and min(worth or 0 for worth in raised) == 1.0


def test_recipes_that_follow_from_sizes_keep_no_scores(tiny_llama: Path, tmp_path: Path, settings: Settings) -> None:
    lab = Lab(Study(model=str(tiny_llama)), Head(), 5.0, settings, "cpu", "float32", tmp_path)
    lab.fetch()
    lab.recipe.choose(lab)
    assert lab.layer_scores is None


def test_a_key_stays_when_a_library_changes_how_torch_computes(
    tiny_llama: Path, tmp_path: Path, settings: Settings
) -> None:
    import torch

    lab = Lab(Study(model=str(tiny_llama)), Head(), 5.0, settings, "cpu", "float32", tmp_path)
    lab.fetch()
    before, precision = lab.cache_key("numbers", ("qcompare.errors",)), torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium" if precision != "medium" else "high")
        assert lab.cache_key("numbers", ("qcompare.errors",)) == before
    finally:
        torch.set_float32_matmul_precision(precision)
