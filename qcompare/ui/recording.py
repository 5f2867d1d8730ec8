"""The recorded studies that a first visitor finds: real runs of the demo by this code, dated and labelled."""

import logging

from qcompare.errors import QCompareError
from qcompare.present.caveats import RECORDED
from qcompare.store import Store
from qcompare.store.packing import unpack
from qcompare.ui.assets import ASSETS

STORIES = ("winner", "families", "tie")
"""Names of the recorded studies, each the tag of one too. The app opens on the first."""
RECORDINGS = {story: ASSETS / "recording" / f"{story}.qcompare.zip" for story in STORIES}
"""Made by `scripts/record_demo.py`."""


def recorded(store: Store) -> str | None:
    """The id of the recorded study to open, the first of `STORIES` that is still in the store."""
    found = {tag: study.id for study in store.studies() if RECORDED in study.tags for tag in study.tags}
    return next((found[story] for story in STORIES if story in found), None)


def nothing_computed(store: Store) -> bool:
    """Nothing has run here yet: no study is stored but recorded ones."""
    return all(RECORDED in study.tags for study in store.studies())


def first_study(store: Store) -> str | None:
    """The id of the study to open where none is asked for: the newest, or a recording before any has run."""
    return (recorded(store) if nothing_computed(store) else None) or store.newest()


def open_recordings(store: Store) -> str | None:
    """Put the recordings into a home without any study; gives the id of the first, or None where nothing was done."""
    if store.newest() is not None:
        return None
    for story, file in RECORDINGS.items():
        if file.is_file():
            try:
                unpack(store, file)
            except QCompareError as error:
                logging.getLogger(__name__).warning("the recorded study %s is left out: %s", story, error)
    return recorded(store)
