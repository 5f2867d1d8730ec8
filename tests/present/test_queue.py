"""What this machine has still to do."""

from pathlib import Path

import pytest

from qcompare.jobs.control import pause, prioritise, run_first, run_last
from qcompare.present.queue import read_queue
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import StudyRecord
from tests.synthetic import add_study, finish_job, finished_study, run_job


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


@pytest.fixture
def studies(store: Store) -> list[StudyRecord]:
    return [add_study(store, name=name) for name in ("a", "b", "c")]


def order(store: Store) -> list[str]:
    return [queued.study.name for queued in read_queue(store)]


def test_studies_stand_in_the_order_in_which_they_came(store: Store, studies: list[StudyRecord], home: Path) -> None:
    finished_study(home)
    assert order(store) == ["a", "b", "c"]


def test_one_can_be_moved_to_either_end_again_and_again(
    store: Store, studies: list[StudyRecord], settings: Settings
) -> None:
    a, b, c = (study.id for study in studies)
    run_first(c, settings)
    assert order(store) == ["c", "a", "b"]
    run_first(b, settings)
    assert order(store) == ["b", "c", "a"]
    run_last(b, settings)
    assert order(store) == ["c", "a", "b"]
    prioritise(a, 100, settings)
    assert len(run_first(b, settings)) == 5
    claimed = store.claim("cpu")
    assert claimed is not None and claimed.study_id == b, "the supervisor takes them in the same order"


def test_what_runs_stands_first_and_what_is_paused_last(
    store: Store, studies: list[StudyRecord], settings: Settings
) -> None:
    pause(studies[0].id, settings)
    run_job(store, store.jobs(studies[1].id)[0].id)
    prioritise(studies[2].id, 5, settings)
    found = read_queue(store)
    assert [queued.study.name for queued in found] == ["b", "c", "a"]
    assert [(queued.running, queued.waiting) for queued in found] == [(1, 4), (0, 5), (0, 5)]
    assert [queued.is_first for queued in found] == [False, True, True]


def test_done_jobs_are_counted(store: Store, studies: list[StudyRecord]) -> None:
    finish_job(store, studies[0], store.jobs(studies[0].id)[0].id)
    assert (read_queue(store)[0].ended, read_queue(store)[0].waiting) == (1, 4)


def test_an_idle_machine_has_an_empty_queue(store: Store, home: Path) -> None:
    finished_study(home)
    assert read_queue(store) == ()
