"""History: all stored studies, and what can be done with the chosen one."""

import tempfile
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from qcompare.errors import QCompareError
from qcompare.jobs import library
from qcompare.results import numbers
from qcompare.settings import Settings
from qcompare.store import Store, packing
from qcompare.study.records import Status
from qcompare.ui.fill import fill
from qcompare.ui.pages import page
from qcompare.ui.parts import Part, Place, markup, study_exists
from qcompare.ui.texts import STATUS_WORDS

SHOWN = 50
"""Studies of the list; more are found by searching."""
ANY = "any state"
PICK = """
window.qcompare.presses(element, '[data-study]', (pressed) => trigger('pick', {study: pressed.study}));
"""
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class HistoryTab:
    """The components that others listen to."""

    rows: gr.HTML
    clone: gr.Button
    parts: tuple[Part, Part]


@dataclass(frozen=True)
class _Panel:
    """What can be done with the chosen study."""

    box: gr.Column
    title: gr.HTML
    name: gr.Textbox
    tags: gr.Textbox
    save: gr.Button
    clone: gr.Button
    pack: gr.Button
    file: gr.File
    delete: gr.Button
    sure: gr.Button


def build_history(settings: Settings, study_id: gr.Textbox) -> HistoryTab:
    """Lay out the tab in the current page and wire what stays inside it."""
    with gr.Row(elem_id="qc-find", equal_height=True):
        search = gr.Textbox(
            label="Search", placeholder="name, model, recipe, tag", max_lines=1, scale=3, min_width=160
        )
        states = [(STATUS_WORDS[status.value].capitalize(), status.value) for status in Status]
        state = gr.Dropdown([("Any state", ANY), *states], value=ANY, label="State", scale=1, min_width=120)
        incoming = gr.UploadButton("Import a packed study", file_types=[".zip"], scale=0, min_width=184, size="sm")
    rows = markup(elem_id="qc-history", js_on_load=PICK)
    stamp = gr.Textbox(visible=False)
    panel = _build_panel()
    gr.on(
        [search.input, state.input, stamp.change, study_id.change],
        lambda *values: history_rows(Store(settings.home), *values),
        [search, state, study_id], rows, trigger_mode="always_last", **QUIET,
    )  # fmt: skip
    incoming.upload(_importer(settings), [incoming, study_id], study_id, api_visibility="private")
    _wire(panel, settings, study_id)
    parts = (
        Part("history", [stamp], _list_token, lambda place: [str(hash(_list_token(place)))]),
        Part("chosen", [panel.box, panel.title, panel.name, panel.tags, panel.file, panel.sure], _token, _show),
    )
    return HistoryTab(rows, panel.clone, parts)


def _build_panel() -> _Panel:
    with gr.Column(visible=False, elem_id="qc-chosen", elem_classes="qc-card") as box:
        title = markup()
        with gr.Row(equal_height=False):
            name = gr.Textbox(label="Name", max_lines=1, scale=2, min_width=200)
            tags = gr.Textbox(label="Tags", placeholder="paper, 8B", max_lines=1, scale=1, min_width=160)
            save = gr.Button("Save", scale=0, min_width=96, size="sm")
        with gr.Row(elem_classes="qc-buttons"):
            clone = gr.Button("Clone into the form", size="sm", min_width=160, scale=0)
            pack = gr.Button("Pack into one file", size="sm", min_width=160, scale=0)
            delete = gr.Button("Delete…", size="sm", min_width=96, scale=0)
            sure = gr.Button("", visible=False, variant="stop", size="sm", min_width=240, scale=0)
        file = gr.File(visible=False, label="Packed study", interactive=False)
    return _Panel(box, title, name, tags, save, clone, pack, file, delete, sure)


def _wire(panel: _Panel, settings: Settings, study_id: gr.Textbox) -> None:
    store = Store(settings.home)
    gr.on(
        [panel.save.click, panel.name.submit, panel.tags.submit],
        lambda *values: _told(lambda: _save(settings, *values)), [study_id, panel.name, panel.tags], None,
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    panel.pack.click(
        lambda study: _told(lambda: _pack(store, study), gr.skip()), study_id, panel.file,
        show_progress="minimal", api_visibility="private",
    )  # fmt: skip
    panel.delete.click(lambda study: _ask(store, study), study_id, panel.sure, **QUIET)
    panel.sure.click(
        lambda study: _told(lambda: _delete(settings, study), gr.skip()), study_id, study_id,
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip


def picked_study(event: gr.EventData) -> str:
    """The id of the study whose row was pressed."""
    return str(event.study)


def history_rows(store: Store, search: str, state: str, chosen: str) -> str:
    """The list as HTML: the newest that match."""
    found = store.search(search or "", None if state == ANY else Status(state))
    searched = bool(search or state != ANY)
    return page(
        "history", studies=found[:SHOWN], total=len(found), chosen=chosen, searched=searched, words=STATUS_WORDS
    )


def _list_token(place: Place) -> Hashable:
    return place.store.version()


def _token(place: Place) -> Hashable:
    if not study_exists(place):
        return place.study_id
    study = place.store.study(place.study_id)
    return study.id, study.name, study.tags, study.status


def _show(place: Place) -> list[Any]:
    if not study_exists(place):
        return [gr.update(visible=False), *[gr.skip()] * 5]
    study = place.store.study(place.study_id)
    hidden = gr.update(visible=False)
    return [
        gr.update(visible=True), page("chosen", study=study, size=library.size_of(place.store, study.id)),
        study.name, ", ".join(study.tags), gr.update(value=None, visible=False), hidden,
    ]  # fmt: skip


def _told(act: Callable[[], Any], otherwise: Any = None) -> Any:
    """The outcome of an act; what goes wrong is said in a message."""
    try:
        return act()
    except QCompareError as error:
        gr.Warning(escape(str(error), quote=False))  # a toast shows HTML
        return otherwise


def _save(settings: Settings, study_id: str, name: str, tags: str) -> None:
    library.rename(study_id, name, settings)
    library.tag(study_id, tags.split(","), settings)
    gr.Info("Saved.", duration=2)


def _pack(store: Store, study_id: str) -> Any:
    folder = Path(tempfile.mkdtemp(prefix="qcompare-"))
    return gr.update(value=str(packing.pack(store, study_id, folder)), visible=True)


def _ask(store: Store, study_id: str) -> Any:
    freed = numbers.size(library.size_of(store, study_id))
    return gr.update(value=f"Delete it for good, free {freed}", visible=True)


def _delete(settings: Settings, study_id: str) -> str:
    freed = library.delete(study_id, settings)
    gr.Info(f"Deleted, {numbers.size(freed)} freed.", duration=4)
    return Store(settings.home).newest() or ""


def _importer(settings: Settings) -> Callable[[str, str], str]:
    def take(path: str, study_id: str) -> str:
        found: str = _told(lambda: packing.unpack(Store(settings.home), Path(path)), study_id)
        return found

    return take


def cloner(settings: Settings) -> Callable[[str], list[Any]]:
    """The handler that fills the form of New with the chosen study, and opens it."""

    def clone(study_id: str) -> list[Any]:
        study = Store(settings.home).study(study_id).spec
        return [*fill(study, settings), gr.Tabs(selected="new")]

    return clone
