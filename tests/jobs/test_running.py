"""Studies from the queue to published results, each job in a process of its own."""

import shutil
import time
from pathlib import Path

import pytest

from qcompare.errors import InvalidStudy, ModelUnavailable
from qcompare.jobs.submit import submit
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Status
from qcompare.study.spec import Study
from tests.jobs.conftest import process_of

PROMPT = "What is the capital of France?"


def wait(store: Store, study_id: str, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not store.study(study_id).status.ended:
        assert time.monotonic() < end, [job.model_dump() for job in store.jobs(study_id)]
        time.sleep(0.3)


def prompts_only(model: Path, **values: object) -> Study:
    """A study that needs no benchmark data."""
    return Study.model_validate(
        {"model": str(model), "tasks": (), "prompts": (PROMPT,), "max_new_tokens": 8, "divergence": None, **values}
    )


def test_every_recipe_but_mixed_runs_from_the_queue_to_a_result(tiny_llama: Path, settings: Settings) -> None:
    study = prompts_only(tiny_llama, recipes=("bf16", "uniform", "head", "tail"), avg_bits=(5.0, 6.0))
    record = submit(study, settings)
    store = Store(settings.home)
    wait(store, record.id)
    results = store.results(record.id)
    assert store.study(record.id).status is Status.SUCCESS, [job.error for job in store.jobs(record.id)]
    assert [r.recipe for r in results] == ["bf16", "uniform", "head", "head", "tail", "tail"]
    assert [round(r.bits.achieved, 1) for r in results] == [16, 4, 5, 6, 5, 6]
    assert [r.generations[0].prompt for r in results] == [PROMPT] * 6
    assert results[0].layer_config == {}
    assert set(results[2].layer_config.values()) == {"MXFP4", "MXFP8"}
    assert all(r.environment.libraries["auto-round"] and r.peak_memory_bytes > 0 for r in results)
    last = store.folder(results[0].job_id).progress()
    assert last is not None
    assert (last.stage, last.fraction) == ("done", 1.0)


def test_the_same_study_twice_gives_the_same_answers(tiny_llama: Path, settings: Settings) -> None:
    study = prompts_only(tiny_llama, recipes=("uniform",))
    records = [submit(study, settings), submit(study, settings)]
    store = Store(settings.home)
    for record in records:
        wait(store, record.id)
    first, second = (store.results(record.id)[0] for record in records)
    assert first.generations[0].text == second.generations[0].text
    assert first.layer_config == second.layer_config


def test_a_failed_job_says_why_and_the_others_go_on(tiny_llama: Path, settings: Settings, tmp_path: Path) -> None:
    missing = tmp_path / "gone"
    shutil.copytree(tiny_llama, missing)
    study = prompts_only(missing, recipes=("bf16",))
    doomed = submit(study, settings)
    (missing / "tokenizer.json").write_text("{}")
    healthy = submit(prompts_only(tiny_llama, recipes=("bf16",)), settings)
    store = Store(settings.home)
    wait(store, doomed.id)
    wait(store, healthy.id)
    failed = store.jobs(doomed.id)[0]
    assert failed.status is Status.FAILED
    assert failed.error
    assert "\n" not in str(failed.error)
    assert store.folder(failed.id).log_tail().rstrip().endswith(str(failed.error))
    assert store.study(healthy.id).status is Status.SUCCESS


def test_a_killed_job_is_continued_and_gives_the_same_answers(tiny_llama: Path, settings: Settings) -> None:
    study = prompts_only(tiny_llama, recipes=("bf16", "uniform"))
    record = submit(study, settings)
    store = Store(settings.home)
    first, second = (job.id for job in store.jobs(record.id))
    while (job := store.job(first)).handle is None and not job.status.ended:
        time.sleep(0.05)
    process_of(job).kill()
    wait(store, record.id)
    assert store.study(record.id).status is Status.SUCCESS
    assert (store.job(first).attempts, store.job(second).attempts) == (2, 1)
    assert "killed" in str(store.job(first).interrupted)


def test_what_cannot_be_done_is_refused_before_anything_is_stored(tiny_llama: Path, settings: Settings) -> None:
    with pytest.raises(InvalidStudy, match="from 4 to 8"):
        submit(prompts_only(tiny_llama, avg_bits=(9.0,)), settings)
    with pytest.raises(ModelUnavailable):
        submit(prompts_only(tiny_llama / "nowhere"), settings)
    assert Store(settings.home).studies() == []
