"""The folder that a checkpoint is to be written into, and the draft beside it."""

import shutil
import tempfile
from pathlib import Path

from qcompare.errors import InvalidStudy
from qcompare.study.records import ExportRequest

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


def draft_of(request: ExportRequest) -> Path:
    """The folder in which a checkpoint is written before it is renamed, on the same disk."""
    return Path(request.folder).parent / f".qcompare-export-{request.id}"


def remove_draft(request: ExportRequest) -> None:
    """Remove what an export left that was stopped or killed."""
    shutil.rmtree(draft_of(request), ignore_errors=True)
