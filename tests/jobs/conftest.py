"""A store whose jobs are stand-ins, and no process left behind by any test."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job, Status
from tests.jobs import standin

Until = Callable[..., None]


@contextmanager
def standin_store(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of the test's home; whatever it starts runs stand-in jobs, and ends with the block."""
    standin.use(monkeypatch)
    yield Store(settings.home)
    for process in ours(settings.home):
        process.kill()


@pytest.fixture
def store(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """As `standin_store`, for a test."""
    with standin_store(settings, monkeypatch) as found:
        yield found


def ours(home: Path, name: str = "") -> list[psutil.Process]:
    """Live processes that belong to a home: its supervisor, its workers, and their children."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = process.environ().get("QCOMPARE_HOME") == str(home) and process.pid != os.getpid()
            if inside and process.status() != psutil.STATUS_ZOMBIE and name in " ".join(process.cmdline()):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def process_of(job: Job) -> psutil.Process:
    """The main process of a job that runs here."""
    assert job.handle
    return psutil.Process(json.loads(job.handle)["pid"])


def running(store: Store, job_id: str) -> Job:
    """The job, as soon as it has finished a step."""
    until(lambda: (progress := store.folder(job_id).progress()) and progress.done >= 1 and store.job(job_id).handle)
    return store.job(job_id)


def wait(store: Store, study_id: str, seconds: float = 60) -> list[Job]:
    """The jobs of a study, when all have ended."""
    until(lambda: store.study(study_id).status.ended, seconds)
    return store.jobs(study_id)


def succeeded(jobs: list[Job]) -> bool:
    """All of them."""
    return all(job.status is Status.SUCCESS for job in jobs)
