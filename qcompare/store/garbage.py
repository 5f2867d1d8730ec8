"""What lies in a home and nothing needs: files of deleted studies, drafts of dead processes, kept work of models that
no study uses any more."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qcompare.errors import InvalidStudy
from qcompare.store.folders import folder_bytes
from qcompare.store.index import Store
from qcompare.study.records import Status
from qcompare.words import gettext

DRAFT_SECONDS = 3600.0
"""A draft this old has no process any more that would finish it."""
BY_REVISION = ("scores", "references")
"""Folders with one folder for each revision of a model."""


@dataclass(frozen=True)
class Rubbish:
    """A file or folder that can go."""

    path: Path
    num_bytes: int
    why: str


def find(store: Store) -> list[Rubbish]:
    """Everything that can go, largest first.

    Raises:
        InvalidStudy: jobs are running: what they need is not known yet.
    """
    if store.counts()[Status.RUNNING]:
        raise InvalidStudy("jobs are running: wait until they are done, or cancel them")
    found = [Rubbish(path, _bytes(path), why) for path, why in _candidates(store)]
    return sorted(found, key=lambda rubbish: -rubbish.num_bytes)


def remove(rubbish: list[Rubbish]) -> int:
    """Remove what was found; gives the bytes that are free now."""
    for each in rubbish:
        if each.path.is_dir():
            shutil.rmtree(each.path, ignore_errors=True)
        else:
            each.path.unlink(missing_ok=True)
    return sum(each.num_bytes for each in rubbish if not each.path.exists())


def _candidates(store: Store) -> Iterator[tuple[Path, str]]:
    studies = {study.id for study in store.studies()}
    for folder in _inside(store.home / "studies"):
        if folder.name not in studies:
            yield folder, gettext("of a study that was deleted")
    for folder in _inside(store.home / "exports"):
        if folder.name.partition(".")[0] not in studies:
            yield folder, gettext("checkpoint of a study that was deleted")
    for draft in (store.home / "studies").glob("*/*/.draft-*"):
        if draft.parent.parent.name in studies and time.time() - draft.stat().st_mtime > DRAFT_SECONDS:
            yield draft, gettext("draft of a process that died")
    used = _revisions(store)
    for name in BY_REVISION:
        for folder in _inside(store.home / name):
            if folder.name not in used:
                yield folder, gettext("of a model that no stored study uses")
    for note in (store.home / "kept").glob("*.json"):
        if _revision_of(note) not in used:
            for path in note.parent.glob(f"{note.stem}.*"):
                yield path, gettext("scores of a model that no stored study uses")


def _revisions(store: Store) -> set[str]:
    """Model revisions that a stored result has."""
    found = set()
    for path in (store.home / "studies").glob("*/*/result/result.json"):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            found |= {result["model"]["revision"], (result.get("checkpoint") or {}).get("revision")}
        except (OSError, ValueError, KeyError):
            continue
    return found


def _revision_of(note: Path) -> str | None:
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["model_revision"])
    except (OSError, ValueError, KeyError):
        return None


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _bytes(path: Path) -> int:
    return folder_bytes(path) if path.is_dir() else path.stat().st_size
