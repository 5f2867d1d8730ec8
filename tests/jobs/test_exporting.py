"""Exports: a measured recipe becomes a checkpoint that another process loads, or nothing is left."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from qcompare.errors import InvalidStudy
from qcompare.jobs.exports import check_target, export_state, find_job, start
from qcompare.jobs.submit import submit
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import ExportState, Status
from qcompare.study.spec import Study

from .test_running import wait


@pytest.fixture
def measured(tiny_llama: Path, settings: Settings) -> Callable[..., tuple[Store, str]]:
    """Run a small study of the tiny model; returns its store and id."""

    def run(**values: object) -> tuple[Store, str]:
        base = {"model": str(tiny_llama), "tasks": (), "prompts": ("Hi",), "max_new_tokens": 2, "divergence": None}
        record = submit(Study.model_validate(base | values), settings)
        store = Store(settings.home)
        wait(store, record.id)
        assert store.study(record.id).status is Status.SUCCESS, [job.error for job in store.jobs(record.id)]
        return store, record.id

    return run


def exported(store: Store, study_id: str, recipe: str, format: str, out: Path, settings: Settings) -> ExportState:
    job = find_job(store, study_id, recipe)
    start(store, job, format, out, settings).wait()
    state = export_state(store, job.id, format)
    assert state is not None
    assert state.status is Status.SUCCESS, (state.error, (store.folder(job.id).path / "exports").iterdir())
    return state


def test_mixes_are_written_in_every_format_that_holds_them(
    measured: Callable[..., tuple[Store, str]], settings: Settings, tmp_path: Path
) -> None:
    store, study_id = measured(recipes=("head", "rtn_fp8_dynamic"))
    for recipe, format in (("head", "auto_round"), ("head", "llm_compressor"), ("rtn_fp8_dynamic", "llm_compressor")):
        out = tmp_path / "out" / f"{recipe}-{format}"
        report = exported(store, study_id, recipe, format, out, settings).report
        assert report is not None
        assert report.layers == 28
        assert report.size_bytes == sum(path.stat().st_size for path in out.glob("*.safetensors"))
        if format == "auto_round" or recipe != "head":
            assert report.max_difference == 0.0
        else:
            assert report.weights_difference is not None
            assert report.weights_difference <= 0.1
        card = (out / "README.md").read_text()
        assert "28 quantized layers" in card
        assert recipe in card
        assert (out / "study.yaml").exists()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "head-auto_round", "head-llm_compressor", "rtn_fp8_dynamic-llm_compressor",
    ]  # fmt: skip


def test_weight_only_mixes_are_written(
    measured: Callable[..., tuple[Store, str]], settings: Settings, tmp_path: Path
) -> None:
    store, study_id = measured(recipes=("tail",), schemes=("W2A16G32", "W4A16G32"), avg_bits=(3.0,))
    report = exported(store, study_id, "tail", "auto_round", tmp_path / "out", settings).report
    assert report is not None
    assert report.mean_difference < 0.05  # kernels compute in half precision
    with pytest.raises(InvalidStudy, match="cannot be stored as llm_compressor: choose auto_round"):
        start(store, find_job(store, study_id, "tail"), "llm_compressor", tmp_path / "no", settings)


def test_a_damaged_result_leaves_no_target(
    measured: Callable[..., tuple[Store, str]], settings: Settings, tmp_path: Path, tiny_llama: Path
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(tiny_llama, copy)
    store, study_id = measured(recipes=("head",), model=str(copy))
    config = copy / "generation_config.json"
    config.write_text(config.read_text() + "\n")
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:-8] + b"\0" * 8)
    job = find_job(store, study_id, "head")
    assert start(store, job, "auto_round", tmp_path / "out" / "x", settings).wait() == 1
    state = export_state(store, job.id, "auto_round")
    assert state
    assert "has changed since it was measured" in (state.error or "")
    assert list((tmp_path / "out").iterdir()) == []
    assert store.folder(job.id).result_file.exists()


def test_targets_that_cannot_take_a_checkpoint_are_refused(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    with pytest.raises(InvalidStudy, match="not an empty folder"):
        check_target(full, 1)
    with pytest.raises(InvalidStudy, match="GB free, the checkpoint needs"):
        check_target(tmp_path / "huge", 10**18)
    if os.geteuid() != 0:
        full.chmod(0o500)
        with pytest.raises(InvalidStudy, match="cannot be written"):
            check_target(full / "inside", 1)
    with pytest.raises(InvalidStudy, match="cannot be written"):
        check_target(full / "file" / "inside", 1)


def test_a_recipe_of_several_budgets_must_be_named_with_one(
    measured: Callable[..., tuple[Store, str]], settings: Settings, tmp_path: Path
) -> None:
    store, study_id = measured(recipes=("bf16", "head"), avg_bits=(5.0, 6.0))
    assert find_job(store, study_id, "head-6").avg_bits == 6.0
    for name, says in (("head", "several.*head-5, head-6"), ("mixed", "is none")):
        with pytest.raises(InvalidStudy, match=says):
            find_job(store, study_id, name)
    with pytest.raises(InvalidStudy, match="nothing to export"):
        start(store, find_job(store, study_id, "bf16"), "auto_round", tmp_path / "x", settings)
