"""The page: header, tabs, and what connects them."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import gradio as gr

from qcompare.compare.selection import MAX_STUDIES
from qcompare.errors import NotFound, QCompareError
from qcompare.jobs.submit import submit
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.ids import format_ids, parse_ids
from qcompare.ui.generations.tab import build_generations
from qcompare.ui.guide import build_tour
from qcompare.ui.header import build_header
from qcompare.ui.history.chosen import cloner
from qcompare.ui.history.tab import build_history, comparer, picked_study
from qcompare.ui.language import SpeakingBlocks, in_all_languages
from qcompare.ui.new.estimate import estimate
from qcompare.ui.new.form import Asked
from qcompare.ui.new.tab import START_ANYWAY, build_new_study, shown
from qcompare.ui.pages import page
from qcompare.ui.parts import Part, Place, refresh
from qcompare.ui.progress.actions import performer
from qcompare.ui.progress.tab import build_progress, picked_job
from qcompare.ui.recording import nothing_computed
from qcompare.ui.results.export import build_export
from qcompare.ui.results.tab import build_results
from qcompare.ui.shared import SharedStore
from qcompare.ui.texts import PRODUCT
from qcompare.words import gettext, gettext_noop, translate

POLL_SECONDS = 1.0
LOOK_SECONDS = 1.5
TABS = {
    "new": gettext_noop("New"),
    "progress": gettext_noop("Progress"),
    "results": gettext_noop("Results"),
    "generations": gettext_noop("Generations"),
    "history": gettext_noop("History"),
}
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""Of events that only bring the screen up to date: no queue that a closing browser could cut, no spinner."""
NOISY = QUIET | {"queue": True}
"""Of events that may have to say something: only through the queue can a handler show a message."""


def build_app(settings: Settings) -> SpeakingBlocks:
    """The whole app, not yet launched."""
    return in_all_languages(lambda: _build(settings, SharedStore(settings.home)))


def _build(settings: Settings, store: Store) -> SpeakingBlocks:
    app = SpeakingBlocks(title=PRODUCT, analytics_enabled=False)
    with app:
        study_id = gr.Textbox("", visible=False)
        job_id = gr.Textbox("", visible=False)
        header = build_header()
        with gr.Tabs(elem_id="qc-tabs") as tabs:
            with _tab("new"):
                new = build_new_study(settings)
            with _tab("progress"):
                progress = build_progress(settings)
            with _tab("results"):
                results = build_results(store, study_id)
                export = build_export(settings, store)
            with _tab("generations"):
                generations = build_generations(settings, study_id)
            with _tab("history"):
                history = build_history(settings, store, study_id)
        clock = _live(store, progress.parts, study_id, job_id)
        seldom = [header.part, progress.queue.part, *results, export, *generations, *history.parts]
        _when_changed(store, seldom, study_id, job_id)
        _open_address(app, store, study_id, tabs)
        build_tour(tabs)
        app.load(
            lambda *values: shown(estimate(Asked(*values), settings)),
            new.inputs,
            new.follow,
            **QUIET | {"preprocess": False},
        )
        header.picker.input(lambda chosen: chosen or "", header.picker, study_id, **QUIET)
        progress.rows.pick(picked_job, None, job_id, **QUIET)
        for rows in (progress.rows, progress.queue.rows):
            rows.act(performer(settings), None, None, **NOISY).then(*clock, **QUIET)
        history.rows.pick(picked_study, None, study_id, **QUIET)
        history.rows.compare(comparer(store), history.view, [study_id, tabs], **NOISY)
        history.clone.click(cloner(settings), study_id, [*new.inputs, tabs], **NOISY)
        study_id.change(None, study_id, None, js="(id) => window.qcompare.note('study', id)", **QUIET)
        gr.on([study_id.change, job_id.change], *clock, **QUIET)
        new.start.click(
            _starter(settings), [new.start, *new.inputs], [study_id, tabs, new.estimate],
            show_progress="minimal", api_visibility="private", preprocess=False,
        )  # fmt: skip
    return app


def _tab(name: str) -> gr.Tab:
    tab = gr.Tab(gettext(TABS[name]), id=name)
    tab.select(None, None, None, js=f"() => window.qcompare.note('tab', '{name}')", **QUIET)
    return tab


Handler = tuple[Callable[..., Any], list[Any], list[Any]]
"""A function, its inputs, its outputs."""


def _live(store: Store, parts: Sequence[Part], study_id: gr.Textbox, job_id: gr.Textbox) -> Handler:
    """Keep parts current that change all the time while jobs run."""
    handler = _refresher(store, parts, study_id, job_id)
    gr.Timer(POLL_SECONDS).tick(*handler, **QUIET)
    return handler


def _when_changed(store: Store, parts: Sequence[Part], study_id: gr.Textbox, job_id: gr.Textbox) -> None:
    """Keep parts current that seldom change. The clock only asks whether: gradio takes a millisecond for every output
    of a handler, also for one that is skipped."""
    stamp = gr.Textbox(visible=False)

    def look(study: str, job: str, known: str) -> Any:
        place = Place(store, parse_ids(study or ""), job or "")
        now = str(hash(tuple(part.token(place) for part in parts)))
        return gr.skip() if now == known else now

    asked = [gr.Timer(LOOK_SECONDS).tick, study_id.change]
    gr.on(asked, look, [study_id, job_id, stamp], stamp, **QUIET)
    stamp.change(*_refresher(store, parts, study_id, job_id), **QUIET)


def _refresher(store: Store, parts: Sequence[Part], study_id: gr.Textbox, job_id: gr.Textbox) -> Handler:
    seen = gr.State({})

    def follow(study: str, job: str, known: dict[str, Any]) -> list[Any]:
        now, values = refresh(parts, Place(store, parse_ids(study or ""), job or ""), known)
        return [gr.skip() if now == known else now, *values]

    return follow, [study_id, job_id, seen], [seen, *(component for part in parts for component in part.outputs)]


def _open_address(app: gr.Blocks, store: Store, study_id: gr.Textbox, tabs: gr.Tabs) -> None:
    """On load, open the study and the tab that the address names; without a study, the newest."""

    def open_page(request: gr.Request) -> list[Any]:
        asked = dict(request.query_params)
        tab = asked.get("tab")
        chosen = gr.Tabs(selected=tab) if tab in TABS else gr.skip()
        return [study_of(store, asked.get("study", "")), chosen, nothing_computed(store)]

    newcomer = gr.Checkbox(visible=False)
    opened = app.load(open_page, None, [study_id, tabs, newcomer], **NOISY)
    opened.then(None, [study_id, newcomer], None, js="(...known) => window.qcompare.open(...known)", **QUIET)


def study_of(store: Store, asked: str) -> str:
    """The id of the study that an address asks for; the newest where it names none or an unknown one.

    Of several studies: their ids with commas between.
    """
    try:
        ids = parse_ids(asked)
        if len(ids) > MAX_STUDIES:
            raise NotFound("the address names more than {most} studies", most=MAX_STUDIES)
        if ids:
            return format_ids(tuple(store.study(name).id for name in ids))
    except NotFound as error:
        gr.Warning(escape(translate(error.message), quote=False))  # a toast shows HTML, and the address is anybody's
    return store.newest() or ""


def _starter(settings: Settings) -> Callable[..., list[Any]]:
    def start(button: str, *values: Any) -> list[Any]:
        try:
            study = submit(Asked(*values).study(), settings, anyway=button == gettext(START_ANYWAY))
        except QCompareError as error:
            return [gr.skip(), gr.skip(), page("estimate", error=translate(error.message), found=None)]
        return [study.id, gr.Tabs(selected="progress"), gr.skip()]

    return start
