"""Commands for running jobs: logs, cancel, resume, pause, priority. `cli` takes them in."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from qcompare.store import Store
from qcompare.study.records import Job, Status

commands = typer.Typer()
StudyId = Annotated[str, typer.Argument(metavar="ID", help="A study's id, or the beginning of it.")]
JobName = Annotated[str, typer.Argument(metavar="ID", help="A study's id or its beginning, or a job's id.")]


@commands.command()
def logs(
    ctx: typer.Context,
    name: JobName,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the jobs end.")] = False,
) -> None:
    """Print the logs of a study's jobs, or of one job."""
    from qcompare.cli.terminal import logs as log_texts
    from qcompare.jobs.control import jobs_of

    store = Store(ctx.obj.home)
    for text in log_texts(store, jobs_of(store, name), follow):
        print(text, end="", flush=True)


@commands.command()
def cancel(ctx: typer.Context, name: JobName) -> None:
    """Stop a study or a job; returns when its processes are gone. What is done stays."""
    from qcompare.jobs.control import cancel as cancel_jobs

    _say("cancelled", cancel_jobs(name, ctx.obj))


@commands.command()
def resume(
    ctx: typer.Context,
    name: JobName,
    fix: Annotated[
        bool, typer.Option("--fix", help="Change the one setting that may help a job that failed.")
    ] = False,
) -> None:
    """Continue what failed, was cancelled or paused; what is done is kept."""
    from qcompare.jobs.control import jobs_of, retry
    from qcompare.jobs.control import resume as resume_jobs

    failed = [job for job in jobs_of(Store(ctx.obj.home), name) if fix and job.status is Status.FAILED]
    _say("queued", [again for job in failed for again in retry(job.id, ctx.obj)] + resume_jobs(name, ctx.obj))


@commands.command()
def more(
    ctx: typer.Context, study_id: StudyId, questions: Annotated[int, typer.Argument(help="How many in all.")]
) -> None:
    """Let a study go on with more questions; only the new ones are computed. Prints the new study's id."""
    from qcompare.jobs.submit import ask_more

    print(ask_more(study_id, questions, ctx.obj).id)


@commands.command()
def pause(ctx: typer.Context, study_id: StudyId) -> None:
    """Stop a study for now and free its devices; 'resume' continues it."""
    from qcompare.jobs.control import pause as pause_study

    _say("paused", pause_study(study_id, ctx.obj))


@commands.command()
def priority(
    ctx: typer.Context, study_id: StudyId, value: Annotated[int, typer.Argument(help="Higher runs first.")]
) -> None:
    """Let a study run before others (default 0)."""
    from qcompare.jobs.control import prioritise

    prioritise(study_id, value, ctx.obj)


def _say(what: str, jobs: Sequence[Job]) -> None:
    for job in jobs:
        print(f"{what}  {job.id}")
    if not jobs:
        print(f"Nothing to do: no job to be {what}.", file=sys.stderr)
