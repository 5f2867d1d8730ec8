"""Under the log of Progress: what this machine does next, and the buttons that change it."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from qcompare.present.queue import SHOWN, Queued, read_queue
from qcompare.ui.pages import page
from qcompare.ui.parts import Part, Place, markup
from qcompare.ui.progress.actions import PRESSES, Action, study_actions
from qcompare.words import gettext


@dataclass(frozen=True)
class QueueList:
    """The components that others listen to."""

    rows: gr.HTML
    part: Part


def build_queue() -> QueueList:
    """Lay out the list in the current page."""
    rows = markup(elem_id="qc-queue", js_on_load=PRESSES)
    return QueueList(rows, Part("queue", [rows], _token, _show))


def _token(place: Place) -> Hashable:
    return place.study_id, place.store.version()


def _show(place: Place) -> list[Any]:
    found = read_queue(place.store)
    if all(each.study.id == place.study_id for each in found):
        return [""]  # the rows above say it all
    actions = {each.study.id: queue_actions(place, each) for each in found}
    return [page("queue", queue=found, actions=actions, chosen=place.study_id, full=len(found) == SHOWN)]


def queue_actions(place: Place, queued: Queued) -> list[Action]:
    """The buttons of a study in the queue."""
    study = queued.study
    order = []
    if not queued.is_first:
        order.append(Action("first", study.id, gettext("Run first"), gettext("Run first: {name}", name=study.name)))
    if not queued.is_last:
        order.append(Action("last", study.id, gettext("Run last"), gettext("Run last: {name}", name=study.name)))
    whole = study_actions(study, place.store.jobs(study.id))
    return [*order, *(replace(action, label=f"{action.words}: {study.name}") for action in whole)]
