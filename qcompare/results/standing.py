"""How the jobs of a study stand, in words and times: what Progress and `status` show."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from qcompare.results.table import title
from qcompare.store import Store
from qcompare.study.records import Job, Progress, Status

FRACTION_TO_TRUST = 0.05
"""Below this share of a job the remaining time would be a guess."""


@dataclass(frozen=True)
class Standing:
    """One job, now."""

    job_id: str
    recipe: str
    title: str
    status: Status
    words: str
    """Where it is, for people."""
    fraction: float
    """Of the job, 0 to 1."""
    elapsed: float | None
    """Seconds since its start; None before."""
    remaining: float | None
    """Estimated seconds to its end; None when nothing can be said."""
    error: str | None


def read_standings(store: Store, study_id: str, now: float | None = None) -> tuple[Standing, ...]:
    """The jobs of a study, in their order.

    Args:
        now: seconds since 1970; default: now.
    """
    jobs = store.jobs(study_id)
    several = len({job.avg_bits for job in jobs if job.avg_bits is not None}) > 1
    moment = time.time() if now is None else now
    return tuple(standing(job, _progress(store, job), moment, several) for job in jobs)


def _progress(store: Store, job: Job) -> Progress | None:
    """The newest event of the process that runs now, not of one before it."""
    progress = store.folder(job.id).progress() if job.status is Status.RUNNING else None
    return progress if progress and progress.time >= (job.started or 0) else None


def standing(job: Job, progress: Progress | None, now: float, several: bool = False) -> Standing:
    """Where a job stands.

    Args:
        progress: its newest event.
        now: seconds since 1970.
        several: the study has several budgets, so the title names this one's.
    """
    fraction = 1.0 if job.status is Status.SUCCESS else (progress.fraction if progress else 0.0)
    elapsed = None if job.started is None else max(0.0, (job.finished or now) - job.started)
    remaining = None
    if job.status is Status.RUNNING and elapsed is not None and fraction >= FRACTION_TO_TRUST:
        remaining = elapsed * (1 - fraction) / fraction
    return Standing(
        job_id=job.id,
        recipe=job.recipe,
        title=title(job.recipe, job.avg_bits, several),
        status=job.status,
        words=_words(job, progress),
        fraction=fraction,
        elapsed=elapsed,
        remaining=remaining,
        error=job.error,
    )


def _words(job: Job, progress: Progress | None) -> str:
    if job.status is Status.QUEUED:
        return f"continues soon: {job.interrupted}" if job.interrupted else "waiting its turn"
    if job.status is not Status.RUNNING:
        return {Status.SUCCESS: "done"}.get(job.status, job.status.value)
    if job.stopping:
        return "stopping"
    if progress is None:
        return "starting"
    return f"{progress.stage} {progress.done}/{progress.total}" if progress.total else progress.stage


def overview(standings: Sequence[Standing]) -> str:
    """One line on a whole study: `3 of 5 recipes done, 1 running, 1 failed`."""
    counts = {status: sum(1 for s in standings if s.status is status) for status in Status}
    parts = [f"{counts[Status.SUCCESS]} of {len(standings)} recipes done"]
    parts += [f"{counts[s]} {s.value}" for s in (Status.RUNNING, Status.FAILED, Status.CANCELLED) if counts[s]]
    return ", ".join(parts)
