"""Under Results: write a measured recipe as a real checkpoint, and follow how that goes."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from qcompare.compare.choice import choose
from qcompare.compare.selection import row_titles
from qcompare.errors import NotFound, QCompareError
from qcompare.export.model_card import agreement
from qcompare.jobs.exports import export_state, queue_export
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.formats import CHECKPOINT_FORMATS
from qcompare.study.records import ExportState, Job, Status
from qcompare.ui.pages import page
from qcompare.ui.parts import WITH_MESSAGES, PageState, Panel, comparison_of, markup, study_exists, warn
from qcompare.ui.server.roles import Right, may, needs, require
from qcompare.ui.texts import FORMAT_TEXTS
from qcompare.words import gettext, translate


@dataclass(frozen=True)
class Line:
    """One export, for the page."""

    title: str
    format: str
    state: ExportState
    agreement: str
    """How near the reloaded checkpoint is; empty until it is."""


def build_export(settings: Settings, store: Store) -> Panel:
    """Lay out the fold in the current page and wire its button."""
    choices = [(f"{format}\n{gettext(text)}", format) for format, text in FORMAT_TEXTS.items()]
    with gr.Accordion(
        gettext("Export checkpoint"),
        open=False,
        visible=False,
        elem_id="qc-export",
        elem_classes=["qc-card", "qc-needs-export"],
    ) as fold:
        with gr.Row(equal_height=True):
            recipe = gr.Dropdown([], label=gettext("Recipe"), scale=2, min_width=200)
            format = gr.Radio(
                choices, value=CHECKPOINT_FORMATS[0], label=gettext("Format"), elem_classes="qc-choices", scale=4
            )
        fused = gr.Checkbox(label=gettext("For vLLM: one scheme for layers that it fuses, within the same budget"))
        hub = gr.Textbox(
            label=gettext("Then upload it to the hub as"), placeholder="org/name", max_lines=1, visible=False,
            info=gettext("Private, with the token that qcompare was started with (HF_TOKEN). Empty: it stays here."),
            elem_id="qc-push",
        )  # fmt: skip
        button = gr.Button(gettext("Write checkpoint"), scale=0, min_width=200)
        status = markup()
    button.click(_starter(settings, store), [recipe, format, fused, hub], None, **WITH_MESSAGES)
    return Panel("export", [fold, recipe, hub, status], _token, _show)


def _starter(settings: Settings, store: Store) -> Callable[[str | None, str, bool, str], None]:
    @needs(Right.EXPORT)
    def begin(job_id: str | None, format: str, fused: bool, push: str) -> None:
        try:
            if repo := (push or "").strip():
                require(Right.PUSH)
            if not job_id:
                raise QCompareError("choose a recipe first")
            queue_export(store, store.job(job_id), format, target(settings, job_id, format), settings, fused, repo)
        except QCompareError as error:
            warn(error)

    return begin


def target(settings: Settings, job_id: str, format: str) -> Path:
    """Where the screen's exports go: a visitor names no paths on the server."""
    return settings.home / "exports" / f"{job_id}-{format}"


def _exportable(state: PageState) -> list[Job]:
    if not study_exists(state):
        return []
    return [
        job
        for job in state.store.jobs(state.study_id)
        if job.status is Status.SUCCESS and not (job.recipe_spec.is_baseline or job.recipe_spec.served)
    ]


def _token(state: PageState) -> Hashable:
    jobs = _exportable(state)
    states = (export_state(state.store, job.id, format) for job in jobs for format in CHECKPOINT_FORMATS)
    return state.study_id, tuple(job.id for job in jobs), tuple(repr(each) for each in states)


def _show(state: PageState) -> list[Any]:
    jobs = _exportable(state)
    if not jobs:
        return [gr.update(visible=False), gr.skip(), gr.skip(), ""]
    choices = [(translate(title), job_id) for job_id, title in row_titles(jobs).items()]
    lines = list(_lines(state, choices))
    return [
        gr.update(visible=True),
        gr.update(choices=choices, value=_first(state, jobs)),
        gr.update(visible=may(Right.PUSH)),
        page("exports", lines=lines, may_push=may(Right.PUSH)),
    ]


def _first(state: PageState, jobs: list[Job]) -> str:
    """The recipe to be shipped, else the first one."""
    ids = [job.id for job in jobs]
    choice = choose(comparison_of(state))
    return choice.pick.job_id if choice and choice.pick and choice.pick.job_id in ids else ids[0]


def _lines(state: PageState, choices: list[tuple[str, str]]) -> Iterator[Line]:
    for name, job_id in choices:
        for format in CHECKPOINT_FORMATS:
            try:
                export = export_state(state.store, job_id, format)
            except NotFound:
                continue
            if export:
                yield Line(name, format, export, agreement(export.report) if export.report else "")
