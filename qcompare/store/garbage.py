"""What lies in a home and nothing needs: files of deleted studies, drafts of dead processes, kept work of models that
no study uses any more."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qcompare.errors import InvalidStudy
from qcompare.store.cache import Cache
from qcompare.store.folders import folder_bytes
from qcompare.store.index import Store
from qcompare.study.records import Status
from qcompare.words import Message

DRAFT_SECONDS = 3600.0
"""A draft this old has no process any more that would finish it."""
OF_VERSION_0_1 = ("scores/*", "references/*", "kept/*.json", "kept/*.sqlite*")
"""What version 0.1 kept, under keys that lack inputs: used no more."""


@dataclass(frozen=True)
class Garbage:
    """A file or folder that can go."""

    path: Path
    num_bytes: int
    why: Message


def find(store: Store) -> list[Garbage]:
    """Everything that can go, largest first.

    Raises:
        InvalidStudy: jobs are running: what they need is not known yet.
    """
    if store.counts()[Status.RUNNING]:
        raise InvalidStudy("jobs are running: wait until they are done, or cancel them")
    found = [Garbage(path, _bytes(path), why) for path, why in _candidates(store)]
    return sorted(found, key=lambda each: -each.num_bytes)


def remove(garbage: list[Garbage]) -> int:
    """Remove what was found; gives the bytes that are free now."""
    for each in garbage:
        if each.path.is_dir():
            shutil.rmtree(each.path, ignore_errors=True)
        else:
            each.path.unlink(missing_ok=True)
    return sum(each.num_bytes for each in garbage if not each.path.exists())


def _candidates(store: Store) -> Iterator[tuple[Path, Message]]:
    studies = {study.id for study in store.studies()}
    for folder in _inside(store.home / "studies"):
        if folder.name not in studies:
            yield folder, Message("of a study that was deleted")
    for folder in _inside(store.home / "exports"):
        if folder.name.partition(".")[0] not in studies:
            yield folder, Message("checkpoint of a study that was deleted")
    for draft in (store.home / "studies").glob("*/*/.draft-*"):
        if draft.parent.parent.name in studies and time.time() - draft.stat().st_mtime > DRAFT_SECONDS:
            yield draft, Message("draft of a process that died")
    for pattern in OF_VERSION_0_1:
        for path in sorted(store.home.glob(pattern)):
            yield path, Message("left by an earlier version, no longer used")
    for path in Cache(store.home / "kept").unused(_revisions(store)):
        yield path, Message("kept for a model that no stored study uses")


def _revisions(store: Store) -> set[str]:
    """Model revisions that a stored result has."""
    found = set()
    for path in (store.home / "studies").glob("*/*/result/result.json"):
        try:
            found.add(json.loads(path.read_text(encoding="utf-8"))["model"]["revision"])
        except (OSError, ValueError, KeyError):
            continue
    return found


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _bytes(path: Path) -> int:
    return folder_bytes(path) if path.is_dir() else path.stat().st_size
