"""Notes on a study: the field that History and Results have, and the one under the results, which saves itself."""

from collections.abc import Hashable
from typing import Any

import gradio as gr

from qcompare.errors import QCompareError
from qcompare.jobs.library import annotate
from qcompare.study.records import StudyRecord
from qcompare.ui.pages import page
from qcompare.ui.parts import WITH_MESSAGES, PageState, Panel, markup, warn
from qcompare.ui.server.roles import Right, may, needs
from qcompare.ui.tabs import TabContext
from qcompare.words import gettext


def build_notes_field(**options: Any) -> gr.Textbox:
    """Lay out the field alone in the current page."""
    return gr.Textbox(
        label=gettext("Notes"), placeholder=gettext("what it is for, what you concluded"), lines=1, max_lines=8,
        **options,
    )  # fmt: skip


def build_notes(context: TabContext) -> Panel:
    """Lay out the field of the open study, which is saved when it is left; who may not change it reads it."""
    store, settings = context.store, context.settings
    field = build_notes_field(visible=False, elem_id="qc-notes")
    read = markup()

    @needs(Right.LAUNCH)
    def save(study_id: str, text: str | None) -> None:
        try:
            if (study := store.study(study_id)).notes != (text or "").strip():
                annotate(study.id, text or "", settings)
                gr.Info(gettext("Saved."), duration=2)
        except QCompareError as error:
            warn(error)

    field.blur(save, [context.study_id, field], None, **WITH_MESSAGES)
    return Panel("notes", [field, read], _token, _show)


def _token(state: PageState) -> Hashable:
    return tuple((study.id, study.notes) for study in _open(state))


def _open(state: PageState) -> list[StudyRecord]:
    return [study for study in state.store.studies() if study.id in state.study_ids]


def _show(state: PageState) -> list[Any]:
    studies = _open(state)
    if len(studies) == 1 and may(Right.LAUNCH):
        return [gr.update(visible=True, value=studies[0].notes), ""]
    noted = [study for study in studies if study.notes]
    return [gr.update(visible=False), page("notes", studies=noted) if noted else ""]
