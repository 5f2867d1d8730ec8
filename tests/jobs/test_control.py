"""Cancel, pause, resume, and what happens when workers and supervisors die. Real processes, stand-in jobs."""

import json
import shutil
import time
from pathlib import Path

import psutil
import pytest
from filelock import FileLock, Timeout

from qcompare.jobs.control import cancel, pause, prioritise, resume
from qcompare.jobs.executors.background import ensure_running
from qcompare.jobs.executors.processes import MARK, alive, find_worker, mark
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Status
from tests.jobs.conftest import ours, process_of, running, succeeded, until, wait
from tests.jobs.standin import CHILD, DEAF, queue


def test_cancel_leaves_no_process_after_at_most_five_seconds(store: Store, settings: Settings) -> None:
    """Children in sessions of their own, one of them deaf to TERM, are gone before the job is called cancelled."""
    study = queue(store, ("bf16", "uniform"), steps=1000, children=(CHILD, DEAF))
    ensure_running(settings)
    running(store, f"{study.id}.bf16")
    until(lambda: len(ours(settings.home, "time.sleep(600)")) == 2)
    before = time.monotonic()
    cancelled = cancel(study.id, settings)
    took = time.monotonic() - before
    assert ours(settings.home, "worker") == ours(settings.home, "time.sleep(600)") == []
    assert [job.status for job in cancelled] == [Status.CANCELLED] * 2
    assert took < 5


def test_a_stopped_process_is_cancelled_too(store: Store, settings: Settings) -> None:
    study = queue(store, steps=1000)
    ensure_running(settings)
    job = running(store, f"{study.id}.bf16")
    process_of(job).suspend()
    assert [job.status for job in cancel(job.id, settings)] == [Status.CANCELLED]
    assert ours(settings.home, "worker") == []


def test_cancelling_one_job_lets_the_others_run(store: Store, settings: Settings) -> None:
    study = queue(store, ("bf16", "uniform"), steps=40)
    ensure_running(settings)
    running(store, f"{study.id}.bf16")
    cancel(f"{study.id}.bf16", settings)
    first, second = wait(store, study.id)
    assert (first.status, second.status) == (Status.CANCELLED, Status.SUCCESS)
    assert cancel(study.id, settings) == []


def test_resume_goes_on_after_the_last_finished_step(store: Store, settings: Settings) -> None:
    study = queue(store, ("bf16", "uniform"), steps=30)
    undisturbed = queue(store, steps=30)
    ensure_running(settings)
    job = running(store, f"{study.id}.bf16")
    cancel(study.id, settings)
    kept = (store.folder(job.id).path / "kept.txt").read_text()
    assert [again.id for again in resume(study.id, settings)] == [f"{study.id}.bf16", f"{study.id}.uniform"]
    assert succeeded(wait(store, study.id)) and succeeded(wait(store, undisturbed.id))
    assert (store.folder(job.id).path / "kept.txt").read_text().startswith(kept)
    averages = {result.average for result in store.results(study.id) + store.results(undisturbed.id)}
    assert len(averages) == 1


def test_resume_leaves_what_is_whole_and_redoes_what_is_damaged(store: Store, settings: Settings) -> None:
    study = queue(store, ("bf16", "uniform"))
    ensure_running(settings)
    _, second = wait(store, study.id)
    whole = store.results(study.id)
    store.folder(second.id).result_file.write_text("{}")
    assert [job.id for job in resume(study.id, settings)] == [second.id]
    assert succeeded(wait(store, study.id))
    assert store.results(study.id) == whole
    assert resume(study.id, settings) == []


def test_pause_frees_the_device_and_resume_goes_on(store: Store, settings: Settings) -> None:
    long, short = queue(store, steps=30), queue(store, ("uniform",), steps=2)
    ensure_running(settings)
    job = running(store, f"{long.id}.bf16")
    assert [job.status for job in pause(long.id, settings)] == [Status.QUEUED]
    assert succeeded(wait(store, short.id))
    assert store.job(job.id).status is Status.QUEUED
    resume(long.id, settings)
    assert succeeded(wait(store, long.id))


def test_a_higher_priority_runs_first(store: Store, settings: Settings) -> None:
    first, second = queue(store), queue(store)
    prioritise(second.id, 1, settings)
    assert [job.study_id for job in store.jobs()] == [second.id, first.id]
    assert (claimed := store.claim("cpu")) and claimed.study_id == second.id


def test_a_killed_worker_is_continued_once_with_its_children_gone(store: Store, settings: Settings) -> None:
    study = queue(store, steps=30, children=(CHILD,))
    ensure_running(settings)
    job = running(store, f"{study.id}.bf16")
    process_of(job).kill()
    until(lambda: store.job(job.id).attempts == 2)
    assert len(ours(settings.home, "time.sleep(600)")) <= 1
    assert "killed by the system" in str(store.job(job.id).interrupted)
    assert succeeded(wait(store, study.id))


def test_a_job_that_dies_twice_has_failed_and_says_how(store: Store, settings: Settings) -> None:
    study = queue(store, suicides=9, steps=20)
    ensure_running(settings)
    (job,) = wait(store, study.id)
    assert (job.status, job.failure, job.attempts) == (Status.FAILED, "killed", 2)
    assert "memory" in str(job.error)


def kill(*processes: psutil.Process) -> None:
    """Kill and wait: a dying process holds its locks to the last."""
    for process in processes:
        process.kill()
    until(lambda: not any(map(alive, processes)))


def held(path: Path) -> bool:
    """Another process holds this lock."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def test_a_killed_supervisor_is_replaced_and_adopts_its_job_within_three_seconds(
    store: Store, settings: Settings
) -> None:
    study = queue(store, ("bf16", "uniform"), steps=60)
    ensure_running(settings)
    job = running(store, f"{study.id}.bf16")
    kill(*ours(settings.home, "supervisor"))
    before = time.monotonic()
    ensure_running(settings)
    until(lambda: held(settings.home / "supervisor.lock"))
    process = find_worker(store.job(job.id), settings.home)
    assert process == process_of(job)
    assert time.monotonic() - before < 3
    assert succeeded(wait(store, study.id))
    assert store.job(job.id).attempts == 1


def test_the_queue_goes_on_after_a_killed_supervisor_when_nobody_watches(store: Store, settings: Settings) -> None:
    study = queue(store, ("bf16", "uniform"), steps=30)
    ensure_running(settings)
    running(store, f"{study.id}.bf16")
    kill(*ours(settings.home, "supervisor"))
    assert succeeded(wait(store, study.id))


def test_a_worker_whose_pid_was_never_noted_is_found_by_its_mark(store: Store, settings: Settings) -> None:
    study = queue(store, steps=30)
    ensure_running(settings)
    job = running(store, f"{study.id}.bf16")
    forgotten = job.model_copy(update={"handle": None})
    found = find_worker(forgotten, settings.home)
    assert found == process_of(job)
    assert found.environ()[MARK] == mark(settings.home, job.id)
    stranger = job.model_copy(update={"handle": json.dumps({"pid": found.pid, "started": 0.0})})
    assert find_worker(stranger, settings.home) == found
    cancel(study.id, settings)


def test_a_child_that_outlived_its_worker_is_not_taken_for_it(store: Store, settings: Settings) -> None:
    """Both killed at once: the next supervisor ends the child and continues the job."""
    study = queue(store, steps=30, children=(CHILD,))
    ensure_running(settings)
    job = running(store, f"{study.id}.bf16")
    (orphan,) = ours(settings.home, "time.sleep(600)")
    kill(*ours(settings.home, "supervisor"), *ours(settings.home, "worker"))
    assert find_worker(job, settings.home) is None
    ensure_running(settings)
    assert succeeded(wait(store, study.id))
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


def test_a_supervisor_ends_when_its_home_is_removed(store: Store, settings: Settings) -> None:
    study = queue(store, steps=1000)
    ensure_running(settings)
    running(store, f"{study.id}.bf16")
    (supervisor,) = ours(settings.home, "supervisor")
    for process in ours(settings.home, "worker"):
        process.suspend()
    while settings.home.exists():  # the supervisor may write while files are removed
        shutil.rmtree(settings.home, ignore_errors=True)
    until(lambda: not alive(supervisor))


@pytest.mark.parametrize("supervisors", [3])
def test_only_one_supervisor_works_and_no_job_runs_twice(store: Store, settings: Settings, supervisors: int) -> None:
    study = queue(store, ("bf16", "uniform", "head"), steps=10)
    for _ in range(supervisors):
        ensure_running(settings)
    running(store, f"{study.id}.bf16")
    assert len(ours(settings.home, "supervisor")) == 1
    assert succeeded(wait(store, study.id))
    for job in store.jobs(study.id):
        assert (store.folder(job.id).path / "trace.txt").read_text().split()[::2] == ["begin", "end"]
