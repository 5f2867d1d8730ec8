"""How the jobs of a study stand, in text and times: what Progress and `status` show."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from qcompare.compare.selection import row_titles
from qcompare.present import numbers
from qcompare.store import Store
from qcompare.study.records import Cost, Job, Progress, Pulse, Status
from qcompare.study.task import short_name
from qcompare.words import Message, gettext, gettext_noop, translate

SILENT_SECONDS = 30.0
"""Without a sign of life for this long, a job is called silent; it gives one every two seconds."""
SLOW_SECONDS = 20.0
"""A stage shorter than this is never called slow."""
FRACTION_TO_TRUST = 0.05
"""Below this share of a job the remaining time would be a guess."""


ENDED = {
    Status.SUCCESS: gettext_noop("done"),
    Status.FAILED: gettext_noop("failed"),
    Status.CANCELLED: gettext_noop("cancelled"),
}
COUNTED = {
    Status.RUNNING: gettext_noop("{n} running"), Status.FAILED: gettext_noop("{n} failed"),
    Status.CANCELLED: gettext_noop("{n} cancelled"),
}  # fmt: skip


@dataclass(frozen=True)
class JobProgress:
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
    """Seconds that it took so far, earlier attempts included; None before its start."""
    remaining: float | None
    """Estimated seconds to its end; None when nothing can be said."""
    error: str | None
    vitals: str = ""
    """Signs of life of a running job, in words."""
    silent: bool = False
    """It gives none."""
    estimate: Cost | None = None
    """What it was expected to take."""


def read_job_progress(store: Store, study_id: str, now: float | None = None) -> tuple[JobProgress, ...]:
    """The jobs of a study, in their order.

    Args:
        now: seconds since 1970; default: now.
    """
    jobs = store.jobs(study_id)
    titles = row_titles(jobs)
    moment = time.time() if now is None else now
    paused = bool(jobs) and store.study(study_id).paused
    return tuple(_read(store, job, moment, titles[job.id], paused) for job in jobs)


def _read(store: Store, job: Job, now: float, title: Message, paused: bool) -> JobProgress:
    if job.status is not Status.RUNNING:
        return job_progress(job, None, now, title, paused=paused)
    folder, began = store.folder(job.id), job.started or 0
    progress, pulse = folder.progress(), folder.pulse()
    # what an earlier process of this job left says nothing of this one
    progress = progress if progress and progress.time >= began else None
    return job_progress(job, progress, now, title, pulse if pulse and pulse.time >= began else None)


def job_progress(
    job: Job,
    progress: Progress | None,
    now: float,
    title: Message | None = None,
    pulse: Pulse | None = None,
    paused: bool = False,
) -> JobProgress:
    """Where a job stands.

    Args:
        progress: its newest event.
        now: seconds since 1970.
        title: of its row, from `row_titles`.
        pulse: its newest sign of life.
        paused: its study waits for `resume`.
    """
    fraction = 1.0 if job.status is Status.SUCCESS else (progress.fraction if progress else 0.0)
    elapsed = job.spent or None
    if job.started is not None:
        elapsed = job.spent + max(0.0, (job.finished or now) - job.started)
    vitals, silent = vital_signs(job, progress, pulse, now)
    return JobProgress(
        job_id=job.id,
        recipe=job.recipe,
        title=translate(title or row_titles([job])[job.id]),
        status=job.status,
        words=_words(job, progress, paused),
        fraction=fraction,
        elapsed=elapsed,
        remaining=_remaining(job, fraction, elapsed),
        error=translate(job.error) if job.error else None,
        vitals=vitals,
        silent=silent,
        estimate=job.estimate,
    )


def _remaining(job: Job, fraction: float, elapsed: float | None) -> float | None:
    """At first what was estimated, later what the pace so far says."""
    if job.status is not Status.RUNNING or elapsed is None:
        return None
    paced = elapsed * (1 - fraction) / fraction if fraction >= FRACTION_TO_TRUST else None
    if job.estimate is None:
        return paced
    planned = max(0.0, job.estimate.seconds.likely * (1 - fraction))
    if paced is None:
        return planned if fraction or elapsed < job.estimate.seconds.likely else None
    return fraction * paced + (1 - fraction) * planned


def vital_signs(job: Job, progress: Progress | None, pulse: Pulse | None, now: float) -> tuple[str, bool]:
    """What the last signs of life say, in words, and whether there are none."""
    if job.status is not Status.RUNNING:
        return "", False
    last = max(pulse.time if pulse else 0.0, progress.time if progress else 0.0, job.started or 0.0)
    if job.executor not in (None, "local") and pulse is None and (progress.time if progress else 0.0) < last:
        return gettext("waiting for a node of the cluster"), False
    if now - last > SILENT_SECONDS:
        return gettext("no sign of life for {time}", time=numbers.duration(now - last)), True
    if pulse is None:
        return "", False
    parts = [f"CPU {pulse.cpu_percent:.0f} %", numbers.size(pulse.ram_bytes)]
    if pulse.gpu_percent is not None:
        parts = [
            f"GPU {pulse.gpu_percent:.0f} %",
            gettext("{size} GPU memory", size=numbers.size(pulse.gpu_bytes)),
            *parts,
        ]
    expected = job.estimate.stages.get(progress.key) if job.estimate and progress else None
    if progress and progress.stage_began and expected is not None:
        slow = now - progress.stage_began > max(SLOW_SECONDS, 2.5 * expected)
        parts.append(gettext("longer than usual for this stage") if slow else gettext("normal for this stage"))
    return " · ".join(parts), False


def _words(job: Job, progress: Progress | None, paused: bool) -> str:
    if job.status is Status.QUEUED and paused:
        return gettext("paused, resume goes on where it stopped") if job.started else gettext("paused")
    if job.status is Status.QUEUED:
        return (
            gettext("continues soon: {reason}", reason=translate(job.interrupted))
            if job.interrupted
            else gettext("waiting its turn")
        )
    if job.status is not Status.RUNNING:
        return gettext(ENDED[job.status])
    if job.stopping:
        return gettext("stopping")
    if progress is None:
        return gettext("starting")
    stage = short_name(progress.task) if progress.task else gettext(progress.stage)
    return f"{stage} {progress.done}/{progress.total}" if progress.total else stage


def study_remaining(jobs: Sequence[JobProgress]) -> float | None:
    """Seconds until all jobs are done, running one after another where one runs; None when nothing can be said."""
    running = [s.remaining for s in jobs if s.status is Status.RUNNING]
    waiting = [s.estimate.seconds.likely if s.estimate else None for s in jobs if s.status is Status.QUEUED]
    known = [seconds for seconds in running + waiting if seconds is not None]
    if len(known) < len(running) + len(waiting) or not known:
        return None
    return sum(known) / max(1, len(running))


def overview(jobs: Sequence[JobProgress]) -> str:
    """One line on a whole study: `3 of 5 recipes done, 1 running, 1 failed; about 4 min left`."""
    counts = {status: sum(1 for s in jobs if s.status is status) for status in Status}
    parts = [gettext("{n} of {total} recipes done", n=counts[Status.SUCCESS], total=len(jobs))]
    parts += [gettext(text, n=counts[status]) for status, text in COUNTED.items() if counts[status]]
    left = study_remaining(jobs)
    if left is None:
        return gettext(", ").join(parts)
    return gettext("{counts}; {time} left", counts=gettext(", ").join(parts), time=numbers.about(left))
