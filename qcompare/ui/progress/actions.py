"""What can be done to studies and jobs by a button, and the one handler that does it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gradio as gr

from qcompare.errors import QCompareError
from qcompare.jobs import control
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job, Status, StudyRecord
from qcompare.ui.parts import warn
from qcompare.words import gettext, translate

ACTS: dict[str, Callable[[str, Settings], Sequence[Job]]] = {
    "cancel": control.cancel,
    "pause": control.pause,
    "resume": control.resume,
    "retry": control.retry,
    "first": control.run_first,
    "last": control.run_last,
}
PRESSES = """
window.qcompare.presses(element, '[data-job], [data-act]', (pressed) => {
  if (pressed.act) trigger('act', {act: pressed.act, name: pressed.name});
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


def job_actions(store: Store, job: Job, title: str) -> list[Action]:
    """The buttons of one job."""
    if not job.status.ended:
        return (
            []
            if job.stopping
            else [Action("cancel", job.id, gettext("Cancel"), gettext("Cancel {title}", title=title))]
        )
    if job.status is Status.SUCCESS:
        return []
    found = control.remedy_of(store, job)
    actions = [Action("resume", job.id, gettext("Resume"), gettext("Resume {title}", title=title))]
    if found and found.changes:
        actions.insert(0, Action("retry", job.id, label := translate(found.label), f"{label}: {title}"))
    return actions


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
    return actions


def performer(settings: Settings) -> Callable[[gr.EventData], str]:
    """The handler of all these buttons, for `TabContext.acted`."""

    def perform(event: gr.EventData) -> str:
        act, name = str(event.act), str(event.name)
        try:
            done = ACTS[act](name, settings)
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
