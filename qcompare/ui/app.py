"""The page: header, tabs, and what keeps them current."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from qcompare.compare.selection import MAX_STUDIES
from qcompare.errors import NotFound
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.ids import format_ids, parse_ids
from qcompare.ui.guide import build_tour
from qcompare.ui.header import build_header
from qcompare.ui.language import SpeakingBlocks, in_all_languages
from qcompare.ui.parts import OPENING, QUIET, WITH_MESSAGES, Panel, markup, page_state, refresh, warn
from qcompare.ui.recording import first_study, nothing_computed
from qcompare.ui.server.roles import Right, Role, may, role_of
from qcompare.ui.shared import SharedStore
from qcompare.ui.tabs import TABS, TabContext
from qcompare.ui.texts import PRODUCT
from qcompare.words import gettext

WITHOUT_NEW = "results"
"""The tab that is opened for visitors who may start nothing: `style.css` hides New from them."""
GO_TO = "window.qcompare.goTo = (asked) => trigger('pick', asked);"
"""For Back and Forward: opens the study of an address."""
SELECTED = "(study) => {{ window.qcompare.note('tab', '{name}'); return study === '{opening}' ? '' : '{name}'; }}"
"""The tab that is seen; while the page is opening, none: its panels have nothing to show yet."""
UPLOADS_KEPT = (3600, 24 * 3600)
"""Seconds between two looks for old uploads, and until one is old: what is used is moved into the home at once."""
WAITING = 200
"""Calls of all pages that may wait in gradio's queue."""
SEES_UPDATES = "window.qcompare.updates.tells(() => trigger('updated'), () => trigger('rest'));"
"""At once, and a little later for what takes long and is not seen."""
STAMP = "() => window.qcompare.updates.stamp"


def build_app(settings: Settings) -> SpeakingBlocks:
    """The whole app, not yet launched.

    Raises:
        QCompareError: as for `role_of`.
    """
    role, store = role_of(settings), SharedStore(settings.home)
    return in_all_languages(lambda: _build(settings, store, role))


def _build(settings: Settings, store: SharedStore, role: Role) -> SpeakingBlocks:
    app = SpeakingBlocks(title=PRODUCT, analytics_enabled=False, delete_cache=UPLOADS_KEPT)
    app.role, app.store = role, store
    app.queue(max_size=WAITING)
    with app:
        study_id, job_id, seen_tab, acted = (gr.Textbox(value, visible=False) for value in (OPENING, "", "", ""))
        header = build_header(settings, store, study_id)
        panels = [header.panel]
        with gr.Tabs(elem_id="qc-tabs", overflow_behavior="wrap") as tabs:
            context = TabContext(app, tabs, settings, store, study_id, job_id, seen_tab, acted)
            for name, tab in TABS.items():
                with gr.Tab(gettext(tab.title), id=name) as opened:
                    built = tab.build(context)
                panels += [replace(panel, group=panel.group or name, tab=name) for panel in built]
                js = SELECTED.format(name=name, opening=OPENING)
                opened.select(None, study_id, seen_tab, js=js, **QUIET)
        app.panels = panels
        _follow_updates(context, [panel for panel in panels if not panel.live])
        _open_address(context)
        build_tour()
        header.picker.input(lambda chosen: chosen or "", header.picker, study_id, **QUIET)
        study_id.change(None, study_id, None, js="(id) => window.qcompare.note('study', id)", **QUIET)
    return app


def _follow_updates(context: TabContext, panels: Sequence[Panel]) -> None:
    """Keep panels current, when `updates.js` has seen that one of them would show something else.

    Each group is brought up to date by a handler of its own, so that what is quick does not wait for figures.
    """
    stamp, after = gr.Textbox(visible=False), gr.Textbox(visible=False)
    updates = markup("", elem_id="qc-updates", js_on_load=SEES_UPDATES)
    updates.updated(None, None, stamp, js=STAMP, **QUIET)
    updates.rest(None, None, after, js=STAMP, **QUIET)
    for key, component in (("study", context.study_id), ("job", context.job_id)):
        component.change(None, component, None, js=f"({key}) => window.qcompare.updates.look({{ {key} }})", **QUIET)
    context.acted.change(None, None, None, js="() => window.qcompare.updates.look()", **QUIET)
    for group in dict.fromkeys(panel.group for panel in panels):
        _follow(context, [panel for panel in panels if panel.group == group], stamp, after)


def _follow(context: TabContext, panels: Sequence[Panel], stamp: gr.Textbox, after: gr.Textbox) -> None:
    """Bring a group up to date: at once, or where it takes long and is not seen, when it is or a little later."""
    seen = gr.State({})
    inputs, outputs = [context.study_id, context.job_id, seen], [c for panel in panels for c in panel.outputs]

    def follow(study: str, job: str, known: dict[str, Any]) -> list[Any]:
        state = page_state(context.store, study, job)
        if state is None:
            return [gr.skip()] * (1 + len(outputs))
        now, values = refresh(panels, state, known)
        return [gr.skip() if now == known else now, *values]

    if not any(panel.later for panel in panels):
        stamp.change(follow, inputs, [seen, *outputs], **QUIET)
        return
    tabs = {panel.tab for panel in panels}

    def follow_if_seen(tab: str, study: str, job: str, known: dict[str, Any]) -> list[Any]:
        return follow(study, job, known) if tab in tabs else [gr.skip()] * (1 + len(outputs))

    gr.on([stamp.change, context.tab.change], follow_if_seen, [context.tab, *inputs], [seen, *outputs], **QUIET)
    after.change(follow, inputs, [seen, *outputs], **QUIET)


def _open_address(context: TabContext) -> None:
    """On load, open the study and the tab that the address names; without a study, the newest."""

    def open_page(request: gr.Request) -> list[Any]:
        asked = dict(request.query_params)
        tab = asked.get("tab") or ("" if may(Right.LAUNCH) else WITHOUT_NEW)
        chosen = gr.Tabs(selected=tab) if tab in TABS else gr.skip()
        newcomer = may(Right.LAUNCH) and nothing_computed(context.store)
        seen = tab if tab in TABS else next(iter(TABS))
        return [study_of(context.store, asked.get("study", "")), chosen, seen, newcomer]

    newcomer = gr.Checkbox(visible=False)
    outputs = [context.study_id, context.tabs, context.tab, newcomer]
    opened = context.app.load(open_page, None, outputs, **WITH_MESSAGES)
    opened.then(None, [context.study_id, newcomer], None, js="(...known) => window.qcompare.open(...known)", **QUIET)

    def go_to(event: gr.EventData) -> str:
        return study_of(context.store, str(event.study))

    address = markup("", elem_id="qc-address", js_on_load=GO_TO)
    address.pick(go_to, None, context.study_id, **WITH_MESSAGES)


def study_of(store: Store, asked: str) -> str:
    """The id of the study that an address asks for; the newest where it names none.

    Empty, after a message, where there is no such study: another one is not what the address means.

    Of several studies: their ids with commas between.
    """
    try:
        ids = parse_ids(asked)
        if len(ids) > MAX_STUDIES:
            raise NotFound("the address names more than {most} studies", most=MAX_STUDIES)
        if ids:
            return format_ids(tuple(store.study(name).id for name in ids))
    except NotFound as error:
        warn(error)
        return ""
    return first_study(store) or ""
