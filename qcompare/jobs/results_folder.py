"""Finished studies as sealed files in a folder that outlives the home: a bucket mounted beside a Space's disk.

The index itself must not lie there: SQLite needs locks that such folders lack.
"""

import shutil
import sys
import tempfile
import threading
from pathlib import Path

from qcompare.errors import QCompareError
from qcompare.store import Store
from qcompare.store.moving import replace
from qcompare.store.packing import ENDING, pack, unpack

LOOK_SECONDS = 10.0


def import_results(store: Store, folder: Path) -> list[str]:
    """Take in all packed studies of a folder that are not in the store; gives their ids. One that is damaged is said
    on stderr and left where it is."""
    found = []
    known = {study.id for study in store.studies()}
    for path in sorted(folder.glob(f"*{ENDING}")):
        if path.name.removesuffix(ENDING) in known:
            continue
        try:
            found.append(unpack(store, path))
        except QCompareError as error:
            print(f"{error}", file=sys.stderr)
    return found


def export_results(store: Store, folder: Path) -> list[Path]:
    """Copy all finished studies that are not in a folder into it; gives the new files. Visitors' prompts stay."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for study in store.studies():
        target = folder / f"{study.id}{ENDING}"
        if study.owner or not study.status.ended or target.exists():
            continue
        with tempfile.TemporaryDirectory(dir=store.home) as draft:
            packed = pack(store, study.id, Path(draft))
            part = target.with_name(f".{target.name}.part")
            shutil.copyfile(packed, part)
            replace(part, target)
        made.append(target)
    return made


def export_continually(store: Store, folder: Path, stop: threading.Event | None = None) -> threading.Thread:
    """Copy studies into a folder as they finish, in a thread of its own, as long as the process lives."""
    ended = stop or threading.Event()

    def go() -> None:
        seen: object = None
        while True:
            if (now := store.version()) != seen:
                try:
                    export_results(store, folder)
                    seen = now
                except (OSError, QCompareError) as error:  # tried again: a mounted folder comes back
                    print(f"{folder}: results could not be copied: {error}", file=sys.stderr)
            if ended.wait(LOOK_SECONDS):
                return

    thread = threading.Thread(target=go, daemon=True, name="results folder")
    thread.start()
    return thread
