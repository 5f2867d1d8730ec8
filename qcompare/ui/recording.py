"""The recorded studies that a first visitor finds: real runs of the demo by this code, dated and labelled."""

import logging

from qcompare.errors import QCompareError
from qcompare.present.caveats import RECORDED
from qcompare.store import Store
from qcompare.store.packing import unpack
from qcompare.ui.assets import ASSETS
from qcompare.words import gettext_noop

STORIES = {
    "winner": gettext_noop("every recipe at equal bits"),
    "families": gettext_noop("number formats side by side"),
    "tie": gettext_noop("weight-only formats of 8 bits"),
}
"""What the recorded studies compare. A key is a tag of its study too; the app opens on the first."""
RECORDINGS = {story: ASSETS / "recording" / f"{story}.qcompare.zip" for story in STORIES}
"""Made by `scripts/record_demo.py`."""


def recordings(store: Store) -> dict[str, str]:
    """Story → id of its study, of those that are still in the store, in the order of `STORIES`."""
    found = {tag: study.id for study in store.studies() if RECORDED in study.tags for tag in study.tags}
    return {story: found[story] for story in STORIES if story in found}


def recorded(store: Store) -> str | None:
    """The id of the recorded study to open."""
    return next(iter(recordings(store).values()), None)


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
