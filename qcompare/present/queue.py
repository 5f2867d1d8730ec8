"""What this machine has still to do, study by study, in the order in which it will be done."""

from collections.abc import Container, Iterator
from dataclasses import dataclass

from qcompare.present.job_progress import JobProgress, read_job_progress, study_remaining
from qcompare.store import Store
from qcompare.study.records import Status, StudyRecord

SHOWN = 20
"""Studies that are listed."""


@dataclass(frozen=True)
class Queued:
    """A study with jobs that run or wait."""

    study: StudyRecord
    running: int
    waiting: int
    ended: int
    remaining: float | None
    """Seconds until its own jobs are done, once they run; None when nothing can be said."""
    is_first: bool
    """No other study's waiting jobs come before its own."""
    is_last: bool


def read_queue(store: Store) -> tuple[Queued, ...]:
    """The first studies with work left: running, then in the order of their waiting jobs, then paused."""
    studies = {study.id: study for study in store.studies()}
    running = _studies_of(store, Status.RUNNING, studies)
    waiting = _studies_of(store, Status.QUEUED, studies)
    order = [study_id for study_id in waiting if not studies[study_id].paused]
    paused = [study_id for study_id in waiting if studies[study_id].paused and study_id not in running]
    shown = dict.fromkeys([*running, *order, *paused])
    return tuple(_queued(store, studies[study_id], order) for study_id in list(shown)[:SHOWN])


def _studies_of(store: Store, status: Status, known: Container[str]) -> list[str]:
    return list(dict.fromkeys(job.study_id for job in store.jobs(status=status) if job.study_id in known))


def _queued(store: Store, study: StudyRecord, order: list[str]) -> Queued:
    jobs = read_job_progress(store, study.id)
    running, waiting, ended = _counts(jobs)
    return Queued(
        study, running, waiting, ended, study_remaining(jobs),
        is_first=order[:1] == [study.id] or study.id not in order,
        is_last=order[-1:] == [study.id] or study.id not in order,
    )  # fmt: skip


def _counts(jobs: tuple[JobProgress, ...]) -> Iterator[int]:
    yield sum(1 for s in jobs if s.status is Status.RUNNING)
    yield sum(1 for s in jobs if s.status is Status.QUEUED)
    yield sum(1 for s in jobs if s.status.ended)
