"""Ask for an export and follow it: checks before anything runs, and the state that the exporting process keeps."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from qcompare.errors import InvalidStudy
from qcompare.export.pack import check_format
from qcompare.jobs.executors.processes import alive, child_environment
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import ExportState, Job, Status
from qcompare.words import gettext, gettext_noop

MARGIN = 1.2
"""Disk space wanted, over the size of the checkpoint."""


def check_target(target: Path, size_bytes: int) -> None:
    """Refuse a folder that cannot take a checkpoint.

    Raises:
        InvalidStudy: it holds something, cannot be written, or its disk is too full.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidStudy("{folder} is not an empty folder: give one that does not exist yet", folder=target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass
        free = shutil.disk_usage(target.parent).free
    except OSError as error:
        raise InvalidStudy(
            "{folder} cannot be written ({reason}): give another folder",
            folder=target.parent,
            reason=error.strerror,
        ) from None
    if free < MARGIN * size_bytes:
        raise InvalidStudy(
            "{folder} has {free} GB free, the checkpoint needs {needed} GB: free some, or give a "
            "folder on another disk",
            folder=target.parent,
            free=f"{free / 1e9:.1f}",
            needed=f"{MARGIN * size_bytes / 1e9:.1f}",
        )


def note(store: Store, job_id: str, format: str, state: ExportState) -> None:
    """Keep where an export stands, beside the job's other files."""
    file = _state_file(store, job_id, format)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.write_text(state.model_dump_json(), encoding="utf-8")
    draft.replace(file)


def export_state(store: Store, job_id: str, format: str) -> ExportState | None:
    """Where an export of a job stands; None when none was asked for."""
    try:
        state = ExportState.model_validate_json(_state_file(store, job_id, format).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if state.status is Status.RUNNING and state.pid is not None and not _lives(state.pid):
        return ExportState(
            status=Status.FAILED, stage="failed", error=gettext("its process was ended; nothing was kept")
        )
    return state


def _lives(pid: int) -> bool:
    try:
        return alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def _state_file(store: Store, job_id: str, format: str) -> Path:
    return store.folder(job_id).path / "exports" / f"{format}.json"


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


def start(
    store: Store, job: Job, format: str, target: Path, settings: Settings, fused: bool = False
) -> "subprocess.Popen[bytes]":
    """Start an export in a process of its own; `export_state` tells how it goes.

    Args:
        fused: layers that vLLM fuses get one scheme each, where the recipe gave them two; the budget stays.

    Raises:
        QCompareError: it cannot be done; nothing was started.
    """
    target = target.expanduser().absolute()
    result = store.folder(job.id).result()
    check_format(result.layer_config, format)
    check_target(target, result.size_bytes)
    if (state := export_state(store, job.id, format)) and state.status is Status.RUNNING:
        raise InvalidStudy(
            "{job} is being written as {format} already: wait until that is done", job=job.id, format=format
        )
    note(store, job.id, format, ExportState(status=Status.RUNNING, stage="starting", pid=os.getpid()))
    folder = store.folder(job.id).path
    with (folder / "exports" / f"{format}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "qcompare.export.run", job.id, format, str(target), *["fused"][:fused]],
            env=child_environment(settings), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
