"""Under the log of Progress: what this machine does next, and the buttons that change it."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from qcompare.present import numbers
from qcompare.present.queue import SHOWN, Queued, read_queue
from qcompare.ui.pages import page
from qcompare.ui.parts import PageState, Panel, markup
from qcompare.ui.progress.actions import PRESSES, Action, connect, study_actions
from qcompare.ui.tabs import TabContext
from qcompare.words import gettext


def build_queue(context: TabContext) -> Panel:
    """Lay out the list in the current page."""
    rows = markup(elem_id="qc-queue", js_on_load=PRESSES)
    connect(rows, context)
    return Panel("queue", [rows], _token, _show)


def _token(state: PageState) -> Hashable:
    return state.study_id, state.store.version()


def _show(state: PageState) -> list[Any]:
    found = read_queue(state.store)
    if all(each.study.id == state.study_id for each in found):
        return [""]  # the rows above say it all
    actions = {each.study.id: queue_actions(state, each) for each in found}
    return [page("queue", queue=found, actions=actions, chosen=state.study_id, full=len(found) == SHOWN)]


def queue_actions(state: PageState, queued: Queued) -> list[Action]:
    """The buttons of a study in the queue."""
    study = queued.study
    order = []
    if not queued.is_first:
        order.append(Action("first", study.id, gettext("Run first"), gettext("Run first: {name}", name=study.name)))
    if not queued.is_last:
        order.append(Action("last", study.id, gettext("Run last"), gettext("Run last: {name}", name=study.name)))
    whole = study_actions(study, state.store.jobs(study.id))
    order = [action for action in order if action.allowed]
    return [*order, *(replace(action, label=numbers.named(action.words, study.name)) for action in whole)]
