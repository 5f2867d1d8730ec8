"""Checkpoints as jobs: queue one for a measured recipe, and see where it stands."""

from pathlib import Path

from pydantic import ValidationError

from qcompare.errors import InvalidStudy, NotFound
from qcompare.export.pack import check_format
from qcompare.export.push import check_push
from qcompare.export.target import check_target
from qcompare.jobs.executors.background import ensure_running
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import ExportRequest, ExportState, Job, Status
from qcompare.study.stage import Stage
from qcompare.words import Message, gettext_noop


def queue_export(
    store: Store, job: Job, format: str, target: Path, settings: Settings, fused: bool = False, push: str = ""
) -> Job:
    """Queue an export of a measured job; `export_state` tells how it goes.

    Args:
        fused: layers that vLLM fuses get one scheme each, where the recipe gave them two; the budget stays.
        push: `org/name` on the hub, where it is uploaded afterwards with the token in HF_TOKEN.

    Raises:
        QCompareError: it cannot be done; nothing was queued.
    """
    target = target.expanduser().absolute()
    result = store.folder(job.id).result()
    if result.checkpoint:
        raise InvalidStudy(
            "{name} is a checkpoint already: there is nothing to export", name=result.checkpoint.source
        )
    check_format(result.layer_config, format, written=bool(job.recipe_spec.writes))
    check_target(target, result.size_bytes or 0)
    if push:
        check_push(push, settings)
    request = ExportRequest(job_id=job.id, format=format, folder=str(target), fused=fused, push=push)
    _forget_last(store, request.id)
    queued = store.add_export(job, request)
    if queued is None:
        raise InvalidStudy(
            "{job} is being written as {format} already: wait until that is done", job=job.id, format=format
        )
    ensure_running(settings)
    return queued


def _forget_last(store: Store, export_id: str) -> None:
    """What an earlier export published says nothing about the next one."""
    try:
        if store.job(export_id).status.ended:
            store.folder(export_id).discard_result()
    except NotFound:
        return


def export_state(store: Store, job_id: str, format: str) -> ExportState | None:
    """Where an export of a measured job stands; None when none was asked for."""
    try:
        job = store.job(ExportRequest.id_of(job_id, format))
    except NotFound:
        return _state_of_version_01(store, job_id, format)
    folder = store.folder(job.id)
    match job.status:
        case Status.QUEUED:
            busy = store.counts()[Status.RUNNING]
            return ExportState(status=job.status, stage=Stage.WAITING if busy else Stage.STARTING)
        case Status.RUNNING:
            progress = folder.progress()
            begun = progress and progress.time >= (job.started or 0)
            return ExportState(status=job.status, stage=progress.stage if progress and begun else Stage.STARTING)
        case Status.SUCCESS:
            return ExportState(status=job.status, stage=Stage.DONE, report=folder.export_report())
        case Status.CANCELLED:
            return ExportState(status=job.status, stage=Stage.CANCELLED, error=Message("it was cancelled"))
    return ExportState(status=job.status, stage=Stage.FAILED, error=job.error)


def _state_of_version_01(store: Store, job_id: str, format: str) -> ExportState | None:
    """Exports were processes of their own, which kept their state beside the measured job's files."""
    try:
        text = (store.folder(job_id).path / "exports" / f"{format}.json").read_text(encoding="utf-8")
        state = ExportState.model_validate_json(text)
    except (OSError, ValidationError):
        return None
    if state.status.ended:
        return state
    return ExportState(
        status=Status.FAILED, stage=Stage.FAILED, error=Message("its process was ended; nothing was kept")
    )


def find_job(store: Store, study_id: str, recipe: str) -> Job:
    """The finished job of a study that a recipe's name means: `mixed`, or `mixed-5` where there are several budgets.

    Raises:
        InvalidStudy: none, or several.
    """
    jobs = store.jobs(store.study(study_id).id)
    names = {_name(job): job for job in jobs}
    found = [job for name, job in names.items() if recipe in (name, job.recipe)]
    if len(found) != 1:
        text = gettext_noop("'{recipe}' is none of this study's recipes: choose from {names}")
        if found:
            text = gettext_noop("'{recipe}' is several of this study's recipes: choose from {names}")
        raise InvalidStudy(text, recipe=recipe, names=", ".join(names))
    if found[0].status is not Status.SUCCESS:
        raise InvalidStudy(
            "{recipe} has no result yet ({status}): export it when it is measured",
            recipe=recipe,
            status=found[0].status,
        )
    return found[0]


def _name(job: Job) -> str:
    return job.id.partition(".")[2]
