"""Results: what it shows in words, the table, the figures, what can be taken away. Fills as recipes finish."""

from typing import Any

import gradio as gr

from qcompare.errors import QCompareError
from qcompare.present.html import headline_html, table_html
from qcompare.ui.notes import build_notes
from qcompare.ui.pages import empty, opening
from qcompare.ui.parts import PageState, Panel, answer_states, comparison_of, markup, nothing_open
from qcompare.ui.results.export import build_export
from qcompare.ui.results.figures import build_figures
from qcompare.ui.results.more import build_more
from qcompare.ui.results.questions import PRESSES, build_questions
from qcompare.ui.results.take_away import build_take_away
from qcompare.ui.tabs import Tab, TabContext
from qcompare.words import gettext_noop, translate


def build_results(context: TabContext) -> list[Panel]:
    """Lay out the tab in the current page."""
    store, study_id = context.store, context.study_id
    words = markup(opening(), elem_id="qc-verdict")
    more = build_more(context)
    take_away = build_take_away(store, study_id)
    notes = build_notes(context)
    table = markup(elem_id="qc-table", js_on_load=PRESSES + "window.qcompare.table.watch(element);")
    build_questions(store, table, study_id)
    shown = Panel("results", [words, take_away, table], answer_states, _show, later=True)
    drawn = build_figures()
    return [shown, more, notes, build_export(context.settings, store), drawn]


TAB = Tab(gettext_noop("Results"), build_results)


def _show(state: PageState) -> list[Any]:
    hidden = gr.update(visible=False)
    if not state.study_ids:
        return [nothing_open(state), hidden, ""]
    try:
        comparison = comparison_of(state)
    except QCompareError as error:
        return [empty(translate(error.message)), hidden, ""]
    measured = any(row.environment is not None for row in comparison.rows)
    return [headline_html(comparison), gr.update(visible=measured), table_html(comparison)]
