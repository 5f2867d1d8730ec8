"""Beside the list of History: what can be done with the chosen study."""

import tempfile
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import gradio as gr

from qcompare.jobs import library
from qcompare.present import numbers
from qcompare.store import Store, packing
from qcompare.study.model_name import model_title
from qcompare.ui.new.fill import FIELDS, fill
from qcompare.ui.notes import build_notes_field
from qcompare.ui.pages import page
from qcompare.ui.parts import WITH_MESSAGES, PageState, Panel, markup, study_exists, warn_on_error
from qcompare.ui.recording import first_study
from qcompare.ui.server.roles import Right, needs
from qcompare.ui.tabs import TabContext
from qcompare.ui.texts import STATUS_WORDS
from qcompare.words import gettext


def build_chosen(context: TabContext) -> Panel:
    """Lay out the panel in the current page."""
    store, study_id = context.store, context.study_id
    with gr.Column(visible=False, elem_id="qc-chosen", elem_classes="qc-card") as box:
        title = markup()
        name = gr.Textbox(label=gettext("Name"), max_lines=1)
        tags = gr.Textbox(label=gettext("Tags"), placeholder=gettext("paper, 8B: commas between"), max_lines=1)
        notes = build_notes_field()
        save = gr.Button(gettext("Save"), size="sm", elem_classes="qc-needs-launch")
        with gr.Row(elem_classes="qc-buttons"):
            clone = gr.Button(
                gettext("Copy settings to New"), size="sm", min_width=144, elem_classes="qc-needs-launch"
            )
            pack = gr.Button(gettext("Export study"), size="sm", min_width=144, elem_classes="qc-needs-export")
            delete = gr.Button(gettext("Delete…"), size="sm", min_width=96, elem_classes="qc-needs-delete")
        sure = gr.Button("", visible=False, variant="stop", size="sm")
        file = gr.File(visible=False, label=gettext("Exported study"), interactive=False)
    gr.on(
        [save.click, name.submit, tags.submit],
        needs(Right.LAUNCH)(lambda *values: warn_on_error(lambda: _save(context, *values), None)),
        [study_id, name, tags, notes], None, **WITH_MESSAGES,
    )  # fmt: skip
    pack.click(
        needs(Right.EXPORT)(lambda study: warn_on_error(lambda: _pack(store, study), gr.skip())),
        study_id, file, **WITH_MESSAGES,
    )  # fmt: skip
    delete.click(
        needs(Right.DELETE)(lambda study: warn_on_error(lambda: _ask(store, study), gr.skip())),
        study_id, sure, **WITH_MESSAGES,
    )  # fmt: skip
    sure.click(
        needs(Right.DELETE)(lambda study: warn_on_error(lambda: _delete(context, study), gr.skip())),
        study_id, study_id, **WITH_MESSAGES,
    )  # fmt: skip
    if context.form_inputs:
        clone.click(_cloner(context), study_id, [*context.form_inputs, context.tabs], **WITH_MESSAGES)
    return Panel("chosen", [box, title, name, tags, notes, file, sure], _token, _show)


def _token(state: PageState) -> Hashable:
    if not study_exists(state):
        return state.study_id
    study = state.store.study(state.study_id)
    return study.id, study.name, study.tags, study.notes, study.status


def _show(state: PageState) -> list[Any]:
    if not study_exists(state):
        return [gr.update(visible=False), *[gr.skip()] * 6]
    study = state.store.study(state.study_id)
    size = library.size_of(state.store, study.id)
    return [
        gr.update(visible=True),
        page(
            "chosen", study=study, model=model_title(study.spec.model), size=size,
            word=gettext(STATUS_WORDS[study.status.value]),
        ),
        study.name, ", ".join(study.tags), study.notes,
        gr.update(value=None, visible=False), gr.update(visible=False),
    ]  # fmt: skip


def _save(context: TabContext, study_id: str, name: str, tags: str, notes: str) -> None:
    study = context.store.study(study_id)
    library.rename(study.id, name, context.settings)
    library.tag(study.id, tags.split(","), context.settings)
    library.annotate(study.id, notes or "", context.settings)
    gr.Info(gettext("Saved."), duration=2)


def _pack(store: Store, study_id: str) -> Any:
    folder = Path(tempfile.mkdtemp(prefix="qcompare-"))
    return gr.update(value=str(packing.pack(store, study_id, folder)), visible=True)


def _ask(store: Store, study_id: str) -> Any:
    freed = numbers.size(library.size_of(store, store.study(study_id).id))
    return gr.update(value=gettext("Delete it for good, free {size}", size=freed), visible=True)


def _delete(context: TabContext, study_id: str) -> str:
    freed = library.delete(context.store.study(study_id).id, context.settings)
    gr.Info(gettext("Deleted, {size} freed.", size=numbers.size(freed)), duration=4)
    return first_study(context.store) or ""


def _cloner(context: TabContext) -> Callable[[str], list[Any]]:
    """The handler that fills the form of New with the chosen study, and opens it."""

    @needs(Right.LAUNCH)
    def clone(study_id: str) -> list[Any]:
        nothing = [gr.skip()] * (FIELDS + 1)
        return warn_on_error(lambda: [*_filled(study_id), gr.Tabs(selected="new")], nothing)

    def _filled(study_id: str) -> list[Any]:
        return fill(context.store.study(study_id).spec, context.settings)

    return clone
