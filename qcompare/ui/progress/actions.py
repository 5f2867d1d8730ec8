"""What can be done to studies and jobs by a button, and the one handler that does it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gradio as gr

from qcompare.errors import NotFound, QCompareError
from qcompare.jobs import control
from qcompare.present import numbers
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job, Status, StudyRecord
from qcompare.ui.parts import QUIET, WITH_MESSAGES, warn
from qcompare.ui.server.roles import Right, may, require
from qcompare.ui.tabs import TabContext
from qcompare.words import gettext, gettext_noop, translate

ACTS: dict[str, tuple[Callable[[str, Settings], Sequence[Job]], Right]] = {
    "cancel": (control.cancel, Right.CANCEL),
    "pause": (control.pause, Right.CANCEL),
    "resume": (control.resume, Right.LAUNCH),
    "retry": (control.retry, Right.LAUNCH),
    "first": (control.run_first, Right.LAUNCH),
    "last": (control.run_last, Right.LAUNCH),
}
BUSY = {
    "cancel": gettext_noop("Cancelling…"),
    "pause": gettext_noop("Pausing…"),
    "resume": gettext_noop("Resuming…"),
    "retry": gettext_noop("Queueing…"),
    "first": gettext_noop("Moving…"),
    "last": gettext_noop("Moving…"),
}
PRESSES = """
window.qcompare.busy.watch(element);
window.qcompare.presses(element, '[data-job], [data-act]', (pressed) => {
  if (pressed.act) {
    window.qcompare.busy.begin(element, pressed);
    trigger('act', {act: pressed.act, name: pressed.name});
  }
  else trigger('pick', {job: pressed.job});
});
"""
"""The page's side of all these buttons, and of rows that can be picked."""


@dataclass(frozen=True)
class Action:
    """A button."""

    act: str
    """A key of `ACTS`."""
    name: str
    """The study or job it is about."""
    words: str
    label: str
    """For screen readers: with what it is about."""

    @property
    def busy(self) -> str:
        """What stands on it from the press until the outcome is there."""
        return gettext(BUSY[self.act])

    @property
    def allowed(self) -> bool:
        """The visitor may press it."""
        return may(ACTS[self.act][1])


def job_actions(store: Store, job: Job, title: str) -> list[Action]:
    """The buttons of one job."""
    if not job.status.ended:
        cancel = Action("cancel", job.id, gettext("Cancel"), gettext("Cancel {title}", title=title))
        return [cancel] if cancel.allowed and not job.stopping else []
    if job.status is Status.SUCCESS:
        return []
    found = control.remedy_of(store, job)
    actions = [Action("resume", job.id, gettext("Resume"), gettext("Resume {title}", title=title))]
    if found and found.changes:
        actions.insert(0, Action("retry", job.id, label := translate(found.label), numbers.named(label, title)))
    return [action for action in actions if action.allowed]


def study_actions(study: StudyRecord, jobs: Sequence[Job]) -> list[Action]:
    """The buttons of a whole study."""
    if study.imported:
        return []
    actions = []
    if study.paused or (jobs and all(job.status in (Status.FAILED, Status.CANCELLED) for job in jobs)):
        actions.append(Action("resume", study.id, gettext("Resume study"), gettext("Resume this study")))
    if not all(job.status.ended for job in jobs):
        if not study.paused:
            actions.append(
                Action("pause", study.id, gettext("Pause study"), gettext("Pause this study, to go on later"))
            )
        actions.append(
            Action("cancel", study.id, gettext("Cancel study"), gettext("Cancel what is not done of this study"))
        )
    return [action for action in actions if action.allowed]


def performer(context: TabContext) -> Callable[[gr.EventData], str]:
    """The handler of all these buttons, for `TabContext.acted`."""
    settings, store = context.settings, context.store

    def perform(event: gr.EventData) -> str:
        act, name = str(event.act), str(event.name)
        try:
            done = _perform(act, name, store, settings)
        except QCompareError as error:
            warn(error)
            return str(time.time())
        if act == "cancel":
            gr.Info(gettext("{n} cancelled. What was finished is kept.", n=len(done)), duration=4)
        elif act == "pause":
            gr.Info(gettext("Paused: the device is free. Resume goes on where it stopped."), duration=4)
        elif act == "first":
            gr.Info(gettext("Runs next. Running jobs are not stopped."), duration=4)
        return str(time.time())

    return perform


def connect(rows: gr.HTML, context: TabContext) -> None:
    """Let the buttons in a list act; the page is told when an act is done."""
    acted = rows.act(performer(context), None, context.acted, **WITH_MESSAGES)
    acted.then(None, None, None, js="() => window.qcompare.busy.done()", **QUIET)


def _perform(act: str, name: str, store: Store, settings: Settings) -> Sequence[Job]:
    if act not in ACTS:
        raise NotFound("there is no such button: load the page again")
    do, right = ACTS[act]
    require(right)
    found = store.job(name).id if "." in name else store.study(name).id
    return do(found, settings)
