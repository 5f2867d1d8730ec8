"""The row budget of a study: a power of two, noted before scoring, one for all recipes, only ever lowered."""

from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompare.evaluate import benchmarks
from qcompare.evaluate.row_budget import StudyBudget, power_of_two
from qcompare.jobs import submit
from qcompare.jobs.worker import run_job
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.spec import Study


@given(st.integers(1, 1 << 40))
def test_power_of_two_is_the_largest_that_fits(tokens: int) -> None:
    found = power_of_two(tokens)
    assert found <= tokens < 2 * found
    assert found.bit_count() == 1


def test_the_first_job_notes_the_number_before_it_scores_and_all_others_take_it(tmp_path: Path) -> None:
    assert StudyBudget(tmp_path).read() is None
    assert StudyBudget(tmp_path).agree(1000) == 512
    assert StudyBudget(tmp_path).read() == 512
    assert StudyBudget(tmp_path).agree(16384) == 512


def test_the_number_is_only_ever_lowered(tmp_path: Path) -> None:
    budget = StudyBudget(tmp_path)
    budget.agree(512)
    for tokens, known in [(128, 128), (1024, 128)]:
        budget.lower(tokens)
        assert budget.read() == known
    assert budget.agree(1024, most=100) == budget.read() == 64
    assert budget.agree(1024, most=256) == 64


def test_a_number_of_version_0_1_is_kept_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "row_tokens").write_text("777")
    assert StudyBudget(tmp_path).agree(1024) == 777


def _agree(folder: str, tokens: int) -> int:
    return StudyBudget(Path(folder)).agree(tokens)


def test_jobs_that_start_together_agree(tmp_path: Path) -> None:
    with get_context("spawn").Pool(4) as pool:
        found = pool.starmap(_agree, [(str(tmp_path), 64 << (n % 6)) for n in range(40)])
    assert set(found) == {StudyBudget(tmp_path).read()}


@pytest.mark.parametrize("free", [1, 10**6, 3 * 10**8, 10**12])
def test_the_default_is_a_power_of_two_whatever_memory_is_free(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    from qcompare.evaluate.scoring.memory import default_row_tokens
    from tests.evaluate.scoring.conftest import tiny_model

    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    found = default_row_tokens(tiny_model("llama"))
    assert found.bit_count() == 1
    assert 64 <= found <= 1024


def test_a_job_notes_the_number_before_it_scores(
    toy_package: None, tiny_llama: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):
        pass

    def stop(*args: object) -> None:
        raise Stopped

    monkeypatch.setattr(submit, "ensure_running", lambda settings: None)
    monkeypatch.setattr(benchmarks, "run_task", stop)
    study = Study(model=str(tiny_llama), tasks=("toy",), recipes=("bf16",), prompts=(), divergence=None)
    store, record = Store(settings.home), submit.submit(study, settings)
    (job,) = store.jobs(record.id)
    with pytest.raises(Stopped):
        run_job(store, job, settings)
    assert StudyBudget(store.folder(job.id).path.parent).read() == 1024
