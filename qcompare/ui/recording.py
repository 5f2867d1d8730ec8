"""The recorded study that a first visitor finds: a real run of the demo by this code, dated and labelled."""

import logging

from qcompare.errors import QCompareError
from qcompare.present.caveats import RECORDED
from qcompare.store import Store
from qcompare.store.packing import unpack
from qcompare.ui.assets import ASSETS

RECORDING = ASSETS / "recording" / "demo.qcompare.zip"
"""Made by `scripts/record_demo.py`."""


def recorded(store: Store) -> str | None:
    """The id of the recorded study, where it is still in the store."""
    return next((study.id for study in store.studies() if RECORDED in study.tags), None)


def nothing_computed(store: Store) -> bool:
    """Nothing has run here yet: no study is stored but the recorded one."""
    return all(RECORDED in study.tags for study in store.studies())


def open_recording(store: Store) -> str | None:
    """Put the recording into a home without any study; gives its id, or None where nothing was done."""
    if store.newest() is not None or not RECORDING.is_file():
        return None
    try:
        return unpack(store, RECORDING)
    except QCompareError as error:
        logging.getLogger(__name__).warning("the recorded study is left out: %s", error)
        return None
