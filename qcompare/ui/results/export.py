"""Under Results: write a measured recipe as a real checkpoint, and follow how that goes."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from qcompare.compare.selection import row_titles
from qcompare.errors import NotFound, QCompareError
from qcompare.export.model_card import agreement
from qcompare.jobs.exports import export_state, queue_export
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.formats import CHECKPOINT_FORMATS
from qcompare.study.records import ExportState, Job, Status
from qcompare.ui.pages import page
from qcompare.ui.parts import Part, Place, markup, study_exists
from qcompare.ui.texts import FORMAT_TEXTS
from qcompare.words import gettext, translate

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Line:
    """One export, for the page."""

    title: str
    format: str
    state: ExportState
    agreement: str
    """How near the reloaded checkpoint is; empty until it is."""


def build_export(settings: Settings, store: Store) -> Part:
    """Lay out the fold in the current page and wire its button."""
    choices = [(f"{format}\n{gettext(text)}", format) for format, text in FORMAT_TEXTS.items()]
    with gr.Accordion(
        gettext("Take a checkpoint away"), open=False, visible=False, elem_id="qc-export", elem_classes="qc-card"
    ) as fold:
        with gr.Row(equal_height=True):
            recipe = gr.Dropdown([], label=gettext("Recipe"), scale=2, min_width=200)
            format = gr.Radio(
                choices, value=CHECKPOINT_FORMATS[0], label=gettext("Format"), elem_classes="qc-choices", scale=4
            )
        fused = gr.Checkbox(label=gettext("For vLLM: one scheme for layers that it fuses, within the same budget"))
        button = gr.Button(gettext("Write checkpoint"), scale=0, min_width=200)
        told = markup()
    button.click(_starter(settings, store), [recipe, format, fused], None, **QUIET)
    return Part("export", [fold, recipe, told], _token, _show)


def _starter(settings: Settings, store: Store) -> Callable[[str | None, str, bool], None]:
    def begin(job_id: str | None, format: str, fused: bool) -> None:
        try:
            if not job_id:
                raise QCompareError("choose a recipe first")
            queue_export(store, store.job(job_id), format, target(settings, job_id, format), settings, fused)
        except QCompareError as error:
            gr.Warning(escape(translate(error.message), quote=False))

    return begin


def target(settings: Settings, job_id: str, format: str) -> Path:
    """Where the screen's exports go: a visitor names no paths on the server."""
    return settings.home / "exports" / f"{job_id}-{format}"


def _exportable(place: Place) -> list[Job]:
    if not study_exists(place):
        return []
    return [
        job
        for job in place.store.jobs(place.study_id)
        if job.status is Status.SUCCESS and not job.recipe_spec.is_baseline
    ]


def _token(place: Place) -> Hashable:
    jobs = _exportable(place)
    states = (export_state(place.store, job.id, format) for job in jobs for format in CHECKPOINT_FORMATS)
    return place.study_id, tuple(job.id for job in jobs), tuple(repr(state) for state in states)


def _show(place: Place) -> list[Any]:
    jobs = _exportable(place)
    if not jobs:
        return [gr.update(visible=False), gr.skip(), ""]
    choices = [(translate(title), job_id) for job_id, title in row_titles(jobs).items()]
    lines = list(_lines(place, choices))
    return [gr.update(visible=True), gr.update(choices=choices), page("exports", lines=lines)]


def _lines(place: Place, choices: list[tuple[str, str]]) -> Iterator[Line]:
    for name, job_id in choices:
        for format in CHECKPOINT_FORMATS:
            try:
                state = export_state(place.store, job_id, format)
            except NotFound:
                continue
            if state:
                yield Line(name, format, state, agreement(state.report) if state.report else "")
