"""The store: queue order, claims by several processes, results published whole or not at all."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qcompare.errors import NotFound
from qcompare.store import Store
from qcompare.store.logs import resolve_carriage_returns
from qcompare.study.records import Progress, Status
from qcompare.study.spec import Study


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


def add(store: Store, count: int = 3) -> str:
    return store.add_study(Study(), "a study", [("mixed", 4.0 + n / 10) for n in range(count)]).id


def test_jobs_are_claimed_in_order_and_only_once(store: Store) -> None:
    study_id = add(store, 40)
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda n: Store(store.home).claim(f"cpu:{n}"), range(40)))
    assert sorted(job.id for job in claimed if job) == sorted(job.id for job in store.jobs(study_id))
    assert store.claim("cpu") is None


def test_studies_run_one_after_the_other(store: Store) -> None:
    first, second = add(store, 2), add(store, 2)
    order = [store.claim("cpu") for _ in range(4)]
    assert [job.study_id for job in order if job] == [first, first, second, second]


def test_state_of_a_study_follows_its_jobs(store: Store) -> None:
    study_id = add(store, 2)
    one, two = (job.id for job in store.jobs(study_id))
    assert store.study(study_id).status is Status.QUEUED
    store.claim("cpu")
    store.finish(one, Status.SUCCESS)
    assert store.study(study_id).status is Status.RUNNING
    store.finish(two, Status.FAILED, "no space left")
    assert store.study(study_id).status is Status.FAILED


def test_an_ended_job_stays_as_it_ended(store: Store) -> None:
    job = store.jobs(add(store, 1))[0]
    store.finish(job.id, Status.FAILED, "out of memory")
    store.finish(job.id, Status.SUCCESS)
    assert (store.job(job.id).status, str(store.job(job.id).error)) == (Status.FAILED, "out of memory")


def test_a_study_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    study_id = add(store)
    assert store.study(study_id[:-1]).id == study_id
    add(store)
    with pytest.raises(NotFound, match="begins the ids of 2 studies"):
        store.study(study_id[:4])
    with pytest.raises(NotFound, match="unknown study 'nothing'"):
        store.study("nothing")


def test_what_is_half_written_is_never_read(store: Store) -> None:
    folder = store.folder(store.jobs(add(store, 1))[0].id)
    with pytest.raises(RuntimeError), folder.publish() as draft:
        (draft / "result.json").write_text("{")
        raise RuntimeError("the disk is full")
    assert not folder.result_file.exists()
    assert list(folder.path.iterdir()) == []
    with pytest.raises(NotFound, match="no result yet"):
        folder.result()


def test_a_result_of_a_newer_version_is_refused_by_name(store: Store) -> None:
    folder = store.folder(store.jobs(add(store, 1))[0].id)
    with folder.publish() as draft:
        (draft / "result.json").write_text('{"schema_version": 99}')
    with pytest.raises(NotFound, match="schema version 99"):
        folder.result()


def test_progress_is_the_last_complete_event(store: Store) -> None:
    folder = store.folder(store.jobs(add(store, 1))[0].id)
    assert folder.progress() is None
    for done in range(200):
        folder.report(Progress(time=1.0, stage="hellaswag", done=done, total=200))
    with folder.events.open("a") as file:
        file.write('{"time": 2.0, "sta')
    progress = folder.progress()
    assert progress is not None
    assert progress.done == 199


def test_log_tail_is_the_end_in_whole_lines(store: Store) -> None:
    folder = store.folder(store.jobs(add(store, 1))[0].id)
    folder.log.write_text("\n".join(f"line {n}" for n in range(10_000)))
    tail = folder.log_tail(100)
    assert tail.endswith("line 9999")
    assert all(line.startswith("line ") for line in tail.splitlines())


def test_progress_bars_in_logs_show_their_last_state() -> None:
    assert resolve_carriage_returns("a 1%\ra 2%\nb\r\n") == "a 2%\nb\n"


def test_time_that_earlier_attempts_took_is_kept_over_pause_and_resume(home: Path) -> None:
    store = Store(home)
    (job, *_) = store.jobs(add(store))
    for then in (Status.QUEUED, Status.CANCELLED):
        claimed = store.claim("cpu")
        assert claimed and claimed.id == job.id
        time.sleep(0.05)
        store.ask_to_stop([job.id], then)
        store.stopped(job.id)
    store.queue_again([job.id])
    again = store.claim("cpu")
    assert again and again.finished is None
    assert 0.1 <= again.spent < 5
