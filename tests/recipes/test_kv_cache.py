"""Rows with an FP8 KV cache, from the study file to the table."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from qcompare.compare.table import read_comparison
from qcompare.errors import InvalidStudy
from qcompare.export.model_card import model_card
from qcompare.jobs import submit
from qcompare.jobs.worker import run_job
from qcompare.models.sources import describe
from qcompare.plan.plan import make_plan, plan_for
from qcompare.present.caveats import caveats
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.reading import parse_study
from qcompare.study.result import ExportReport, Result
from qcompare.study.spec import HeldOut, Study

UNIFORM = {"recipe": "uniform", "kv_cache": "fp8"}


def test_a_study_file_names_it_and_comes_back() -> None:
    study = parse_study({"recipes": ["bf16", "uniform", UNIFORM]})
    assert [recipe.kv_cache for recipe in study.recipes] == [None, None, "fp8"]
    assert parse_study(yaml.safe_load(study.to_yaml())) == study
    assert study.recipes[2].parameters == {"kv_cache": "fp8"}


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ({"recipe": "bf16", "kv_cache": "fp8"}, r"bf16 is the baseline.*\{recipe: checkpoint, from: MODEL, kv_cache"),
        ({"recipe": "endpoint", "url": "http://x/v1", "kv_cache": "fp8"}, "the server's own setting"),
        ({"recipe": "uniform", "kv_cache": "int4"}, "kv_cache: Input should be 'fp8'"),
    ],
)
def test_rows_that_cannot_have_one_are_refused_by_the_study(recipe: dict[str, str], reason: str) -> None:
    with pytest.raises(InvalidStudy, match=reason) as caught:
        parse_study({"recipes": [recipe]})
    assert "\n" not in str(caught.value)


def test_a_model_that_caches_something_else_is_refused_before_work_starts(
    make_model: Callable[..., Path], settings: Settings
) -> None:
    folder = make_model("Lfm2Config", layer_types=["conv", "full_attention", "conv", "full_attention"])
    study = Study(model=str(folder), tasks=(), prompts=("Hello",), recipes=("bf16", UNIFORM))
    with pytest.raises(
        InvalidStudy, match=r"kv_cache: .* \(it has layers without keys and values \(conv\)\)"
    ) as caught:
        make_plan(study, settings)
    assert "\n" not in str(caught.value)
    assert make_plan(study.model_copy(update={"recipes": study.recipes[:1]}), settings).jobs


def measured(study: Study, settings: Settings) -> tuple[str, list[Result]]:
    store, record = Store(settings.home), submit.submit(study, settings)
    for job in store.jobs(record.id):
        run_job(store, job, settings)
    return record.id, [store.folder(job.id).result() for job in store.jobs(record.id)]


@pytest.mark.filterwarnings("ignore")
def test_a_row_differs_in_every_figure_and_says_why(
    toy_package: None, tiny_llama: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "ensure_running", lambda settings: None)
    text = tmp_path / "text.txt"
    text.write_text("The capital of France is Paris, and it is famous for its food. " * 4)
    original = {"recipe": "checkpoint", "from": str(tiny_llama), "kv_cache": "fp8"}
    study = Study(
        model=str(tiny_llama), tasks=("toy",), recipes=("bf16", "uniform", UNIFORM, original), prompts=("Why?",),
        divergence=HeldOut(text=str(text), num_samples=2, max_seq_length=32), max_new_tokens=4,
    )  # fmt: skip
    study_id, results = measured(study, settings)
    assert [result.kv_cache for result in results] == [None, None, "fp8", "fp8"]
    _, uniform, cached, itself = (result.divergence for result in results)
    assert uniform and cached and itself
    assert 0 < itself.kl < uniform.kl
    assert cached.kl != uniform.kl
    assert results[1].layer_config == results[2].layer_config
    found = read_comparison(Store(settings.home), (study_id,))
    assert [str(row.title) for row in found.rows] == [
        "BF16", "Uniform", "Uniform + FP8 KV cache", f"{tiny_llama.name} + FP8 KV cache",
    ]  # fmt: skip
    assert "FP8 KV cache: scale 1.0, as vLLM’s kv_cache_dtype=fp8; simulated." in caveats(found)
    again = measured(study, settings)[1]
    assert [result.reused_requests for result in again] == [8, 8, 8, 8]
    assert [result.tasks for result in again] == [result.tasks for result in results]


def test_scores_with_and_without_one_are_kept_apart(
    toy_package: None, tiny_llama: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "ensure_running", lambda settings: None)
    study = Study(model=str(tiny_llama), tasks=("toy",), recipes=("uniform", UNIFORM), prompts=(), divergence=None)
    _, results = measured(study, settings)
    assert [result.reused_requests for result in results] == [1, 1]  # two options of the first question are alike


def test_an_exported_checkpoint_says_that_the_cache_is_the_servers(
    tiny_llama: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "ensure_running", lambda settings: None)
    study = Study(
        model=str(tiny_llama), tasks=(), recipes=(UNIFORM,), prompts=("Hello",), divergence=None, max_new_tokens=2
    )
    _, (result,) = measured(study, settings)
    report = ExportReport(
        format="llm_compressor", folder="/x", layers=28, size_bytes=1, bits_per_weight=4, max_difference=0,
        mean_difference=0, top1_agreement=1, weights_difference=None, dtype="float32", prompt="", text="", seconds=1,
    )  # fmt: skip
    layers = describe(str(tiny_llama), settings).layers
    card = model_card(result, layers, report, fits_vllm=True)
    assert "vllm serve FOLDER --kv-cache-dtype fp8" in card
    assert "It is a setting of the server" in card
    plain = model_card(result.model_copy(update={"kv_cache": None}), layers, report, fits_vllm=True)
    assert "kv-cache" not in plain and "KV cache" not in plain


def test_plans_and_tables_of_one_line_name_it(tiny_llama: Path, settings: Settings) -> None:
    from qcompare.cli.terminal import _cells

    study = Study(model=str(tiny_llama), tasks=(), prompts=("Hello",), recipes=("bf16", UNIFORM))
    facts = describe(study.model, settings)
    assert [_cells(job)[0] for job in plan_for(facts, study, settings).jobs] == ["bf16", "uniform + FP8 KV cache"]
    strange: Any = replace(facts, unusual_cache="x")
    with pytest.raises(InvalidStudy, match="leave kv_cache out"):
        plan_for(strange, study, settings)


def test_a_checkpoint_with_scales_for_the_cache_is_measured_with_these(
    tiny_llama: Path, settings: Settings, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "scaled")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "compressed-tensors", "kv_cache_scheme": {"num_bits": 8}}
    (folder / "config.json").write_text(json.dumps(config))
    row = {"recipe": "checkpoint", "from": str(folder)}
    study = Study(model=str(tiny_llama), tasks=(), prompts=("Hello",), recipes=("bf16", row))
    assert make_plan(study, settings).jobs
    with pytest.raises(InvalidStudy, match="scaled has scales of its own for the KV cache"):
        make_plan(Study(**study.model_dump() | {"recipes": ["bf16", row | {"kv_cache": "fp8"}]}), settings)
