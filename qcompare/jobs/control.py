"""Stop, continue, pause: what can be done to studies and jobs that are queued. The same for screen and commands."""

from collections.abc import Mapping, Sequence
from typing import Any

from qcompare.errors import InvalidStudy
from qcompare.evaluate.row_budget import StudyBudget
from qcompare.jobs.executors import Executors
from qcompare.jobs.executors.background import ensure_running
from qcompare.jobs.failures import Remedy, changed, remedy
from qcompare.jobs.library import check_runs_here
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job, Status

MAX_PRIORITY = 1_000_000


def cancel(name: str, settings: Settings) -> list[Job]:
    """Cancel a study, or one job. Returns when its processes and their children are gone; what is done stays.

    Returns:
        The jobs that are cancelled now.

    Raises:
        NotFound: there is none of that name.
    """
    store = Store(settings.home)
    return _stop(
        store, settings, [job for job in jobs_of(store, name, exports=True) if not job.status.ended], Status.CANCELLED
    )


def resume(name: str, settings: Settings, changes: Mapping[str, Any] | None = None) -> list[Job]:
    """Queue again what failed, was cancelled, or lost its result; a paused study goes on.

    What is done is kept: scores of layers, every evaluated chunk, finished recipes.

    Args:
        changes: settings to change in these jobs, e.g. {"batch_size": 8}.

    Returns:
        The jobs that were queued again.

    Raises:
        NotFound: there is none of that name.
        InvalidStudy: it came as a file from another home.
    """
    store = Store(settings.home)
    jobs = jobs_of(store, name)
    study = store.study(jobs[0].study_id)
    check_runs_here(study)
    again = [job for job in jobs if job.status.ended and not _complete(store, job)]
    for job in again:
        store.folder(job.id).discard_result()
    store.queue_again([job.id for job in again], changes)
    if study.paused:
        store.note(study.id, paused=0)
    ensure_running(settings)
    return [store.job(job.id) for job in again]


def retry(job_id: str, settings: Settings) -> list[Job]:
    """Queue a failed job again with the one setting changed that may help (`failures.remedy`), or as it was.

    Raises:
        NotFound: there is none of that name.
    """
    store = Store(settings.home)
    job = store.job(job_id)
    found = remedy_of(store, job)
    return resume(job_id, settings, {**job.changes, **found.changes} if found else None)


def remedy_of(store: Store, job: Job) -> Remedy | None:
    """What a retry of a job would change, from where and how it failed; None unless it failed in a known way."""
    if job.status is not Status.FAILED:
        return None
    progress = store.folder(job.id).progress()
    study, _, _ = changed(store.study(job.study_id).spec, Settings(), job.changes)
    row_tokens = StudyBudget(store.folder(job.id).path.parent).read()
    return remedy(job, study, progress, job.device or "", row_tokens)


def pause(name: str, settings: Settings) -> list[Job]:
    """Let a study wait: its running jobs are stopped and go on from their last chunk after `resume`.

    Raises:
        NotFound: there is none of that name.
    """
    store = Store(settings.home)
    study = store.study(name)
    store.note(study.id, paused=1)
    return _stop(store, settings, [j for j in store.jobs(study.id) if j.status is Status.RUNNING], Status.QUEUED)


def prioritise(name: str, priority: int, settings: Settings) -> None:
    """Set a study's priority: higher ones run first, equal ones in the order in which they came.

    Raises:
        NotFound: there is none of that name.
        InvalidStudy: it is out of range.
    """
    if abs(priority) > MAX_PRIORITY:
        raise InvalidStudy(
            "a priority lies between -{most} and {most}, got {priority}", most=MAX_PRIORITY, priority=priority
        )
    store = Store(settings.home)
    store.note(store.study(name).id, priority=priority)


def run_first(name: str, settings: Settings) -> list[Job]:
    """Let a study's waiting jobs run before those of all other studies; what runs already is not stopped.

    Returns:
        Its waiting jobs.

    Raises:
        NotFound: there is none of that name.
    """
    return _move(name, settings, first=True)


def run_last(name: str, settings: Settings) -> list[Job]:
    """As `run_first`, but after all others."""
    return _move(name, settings, first=False)


def _move(name: str, settings: Settings, first: bool) -> list[Job]:
    store = Store(settings.home)
    study = store.study(name)
    waiting = store.jobs(status=Status.QUEUED)
    others = {job.study_id for job in waiting} - {study.id}
    priorities = [store.study(study_id).priority for study_id in others]
    if priorities:
        store.note(study.id, priority=max(priorities) + 1 if first else min(priorities) - 1)
    return [job for job in waiting if job.study_id == study.id]


def jobs_of(store: Store, name: str, exports: bool = False) -> list[Job]:
    """The jobs of a study (its id or the beginning of it), or the one job of that id.

    Args:
        exports: also those of the study that write checkpoints.

    Raises:
        NotFound: there is none.
    """
    if "." in name:
        return [store.job(name)]
    return store.jobs(store.study(name).id, exports=exports)


def _stop(store: Store, settings: Settings, jobs: Sequence[Job], then: Status) -> list[Job]:
    running = store.ask_to_stop([job.id for job in jobs], then)
    Executors(store, settings).stop(running)
    for job in running:
        store.stopped(job.id)
    return [now for job in jobs if (now := store.job(job.id)).status is then]


def _complete(store: Store, job: Job) -> bool:
    return job.status is Status.SUCCESS and not store.folder(job.id).damage()
