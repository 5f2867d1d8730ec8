"""lm-eval's own tools read the files that are exported for them."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qcompare.cli.main import app
from qcompare.present.lm_eval import write_lm_eval
from qcompare.store import Store
from qcompare.study.spec import Study
from tests.synthetic import finished_study


@pytest.fixture
def files(home: Path, tmp_path: Path) -> list[Path]:
    study = finished_study(home, Study(tasks=("piqa", "mmlu"), limit=4))
    return write_lm_eval(Store(home), (study.id,), tmp_path / "out")


def test_lm_eval_prints_its_table_of_the_results(files: list[Path], home: Path) -> None:
    from lm_eval.utils import make_table

    results = [json.loads(path.read_text()) for path in files if path.name.startswith("results_")]
    assert len(results) == 5
    row = next(row for row in Store(home).results(Store(home).newest() or "") if row.recipe == "mixed")
    mixed = next(each for each in results if each["config"]["model_args"]["recipe"] == "mixed")
    scores = {score.task: score.value for score in row.tasks}
    assert {task: mixed["results"][task]["acc,none"] for task in scores} == scores
    assert mixed["group_subtasks"]["mmlu"] == [f"mmlu_subject{n}" for n in range(3)]
    table = make_table(mixed)
    assert "mmlu_subject1" in table
    assert f"{scores['piqa']:.4f}" in table


def test_samples_are_loaded_by_datasets_and_average_to_the_score(files: list[Path], tmp_path: Path) -> None:
    from datasets import load_dataset

    path = next(path for path in files if path.name.startswith("samples_piqa") and "mixed" in str(path))
    loaded: Any = load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    results = json.loads(next(path.parent.glob("results_*.json")).read_text())
    assert sum(loaded["acc"]) / len(loaded) == results["results"]["piqa"]["acc,none"]
    first = loaded[0]
    assert first["arguments"]["gen_args_0"]["arg_1"] == " option A"
    assert first["filtered_resps"][0] == first["resps"][0][0]
    assert first["metrics"] == ["acc", "acc_norm"]
    assert first["prompt_hash"] == "piqa-0-asked"


def test_the_command_writes_a_folder_and_asks_for_one(home: Path, tmp_path: Path) -> None:
    study = finished_study(home, Study(tasks=("piqa",), limit=4))
    done = CliRunner().invoke(app, ["show", study.id, "--format", "lm_eval", "--out", str(tmp_path / "here")])
    assert done.exit_code == 0, done.output
    assert len([*(tmp_path / "here").rglob("*.json*")]) == 10
    without = CliRunner().invoke(app, ["show", study.id, "--format", "lm_eval"])
    assert "give a folder with --out" in str(without.exception)
