"""Beside the list of History: what can be done with the chosen study."""

import tempfile
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import gradio as gr

from qcompare.jobs import library
from qcompare.present import numbers
from qcompare.settings import Settings
from qcompare.store import Store, packing
from qcompare.study.spec import Study
from qcompare.ui.new.fill import FIELDS, fill
from qcompare.ui.pages import page
from qcompare.ui.parts import QUIET, WITH_MESSAGES, PageState, Panel, markup, study_exists, warn_on_error
from qcompare.ui.tabs import TabContext
from qcompare.ui.texts import STATUS_WORDS
from qcompare.words import gettext


def build_chosen(context: TabContext) -> Panel:
    """Lay out the panel in the current page."""
    settings, study_id = context.settings, context.study_id
    store = Store(settings.home)
    with gr.Column(visible=False, elem_id="qc-chosen", elem_classes="qc-card") as box:
        title = markup()
        name = gr.Textbox(label=gettext("Name"), max_lines=1)
        tags = gr.Textbox(label=gettext("Tags"), placeholder=gettext("paper, 8B: commas between"), max_lines=1)
        save = gr.Button(gettext("Save name and tags"), size="sm")
        with gr.Row(elem_classes="qc-buttons"):
            clone = gr.Button(gettext("Copy settings to New"), size="sm", min_width=144)
            pack = gr.Button(gettext("Export study"), size="sm", min_width=144)
            delete = gr.Button(gettext("Delete…"), size="sm", min_width=96)
        sure = gr.Button("", visible=False, variant="stop", size="sm")
        file = gr.File(visible=False, label=gettext("Exported study"), interactive=False)
    gr.on(
        [save.click, name.submit, tags.submit],
        lambda *values: warn_on_error(lambda: _save(settings, *values), None), [study_id, name, tags], None,
        **WITH_MESSAGES,
    )  # fmt: skip
    pack.click(lambda study: warn_on_error(lambda: _pack(store, study), gr.skip()), study_id, file, **WITH_MESSAGES)
    delete.click(lambda study: _ask(store, study), study_id, sure, **QUIET)
    sure.click(
        lambda study: warn_on_error(lambda: _delete(settings, study), gr.skip()), study_id, study_id, **WITH_MESSAGES
    )
    if context.form_inputs:
        clone.click(_cloner(settings), study_id, [*context.form_inputs, context.tabs], **WITH_MESSAGES)
    return Panel("chosen", [box, title, name, tags, file, sure], _token, _show)


def _token(state: PageState) -> Hashable:
    if not study_exists(state):
        return state.study_id
    study = state.store.study(state.study_id)
    return study.id, study.name, study.tags, study.status


def _show(state: PageState) -> list[Any]:
    if not study_exists(state):
        return [gr.update(visible=False), *[gr.skip()] * 5]
    study = state.store.study(state.study_id)
    size = library.size_of(state.store, study.id)
    return [
        gr.update(visible=True),
        page("chosen", study=study, size=size, word=gettext(STATUS_WORDS[study.status.value])),
        study.name, ", ".join(study.tags), gr.update(value=None, visible=False), gr.update(visible=False),
    ]  # fmt: skip


def _save(settings: Settings, study_id: str, name: str, tags: str) -> None:
    library.rename(study_id, name, settings)
    library.tag(study_id, tags.split(","), settings)
    gr.Info(gettext("Saved."), duration=2)


def _pack(store: Store, study_id: str) -> Any:
    folder = Path(tempfile.mkdtemp(prefix="qcompare-"))
    return gr.update(value=str(packing.pack(store, study_id, folder)), visible=True)


def _ask(store: Store, study_id: str) -> Any:
    freed = numbers.size(library.size_of(store, study_id))
    return gr.update(value=gettext("Delete it for good, free {size}", size=freed), visible=True)


def _delete(settings: Settings, study_id: str) -> str:
    freed = library.delete(study_id, settings)
    gr.Info(gettext("Deleted, {size} freed.", size=numbers.size(freed)), duration=4)
    return Store(settings.home).newest() or ""


def _spec(settings: Settings, study_id: str) -> Study:
    return Store(settings.home).study(study_id).spec


def _cloner(settings: Settings) -> Callable[[str], list[Any]]:
    """The handler that fills the form of New with the chosen study, and opens it."""

    def clone(study_id: str) -> list[Any]:
        nothing = [gr.skip()] * (FIELDS + 1)
        return warn_on_error(lambda: [*fill(_spec(settings, study_id), settings), gr.Tabs(selected="new")], nothing)

    return clone
