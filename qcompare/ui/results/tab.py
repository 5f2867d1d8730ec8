"""Results: what it shows in words, the table, the figures, what can be taken away. Fills as recipes finish."""

from typing import Any

import gradio as gr

from qcompare.compare.selection import Selection, read_selection
from qcompare.compare.sensitivity import read_layer_scores
from qcompare.compare.table import Comparison
from qcompare.errors import QCompareError
from qcompare.present.figures import KINDS
from qcompare.present.glossary import explained
from qcompare.present.html import headline_html, table_html
from qcompare.present.layer_map import layer_map_figure, layer_maps
from qcompare.store import Store
from qcompare.ui.notes import build_notes
from qcompare.ui.pages import empty, opening, page
from qcompare.ui.parts import PageState, Panel, answer_states, comparison_of, markup, nothing_open
from qcompare.ui.results.export import build_export
from qcompare.ui.results.more import build_more
from qcompare.ui.results.questions import PRESSES, build_questions
from qcompare.ui.results.take_away import build_take_away
from qcompare.ui.tabs import Tab, TabContext
from qcompare.words import gettext, gettext_noop, translate

MAP_TITLE = gettext_noop("Which layer got which scheme")


def build_results(context: TabContext) -> list[Panel]:
    """Lay out the tab in the current page."""
    store, study_id = context.store, context.study_id
    words = markup(opening(), elem_id="qc-verdict")
    more = build_more(context)
    take_away = build_take_away(store, study_id)
    notes = build_notes(context)
    table = markup(elem_id="qc-table", js_on_load=PRESSES + "window.qcompare.table.watch(element);")
    build_questions(store, table, study_id)
    figures: list[gr.blocks.Block] = []
    with gr.Row(elem_id="qc-plots", elem_classes="qc-figures"):
        for kind in KINDS:
            figures += _figure(kind.title, min_width=440)
    figures += _figure(MAP_TITLE)
    shown = Panel("results", [words, take_away, table], answer_states, _show, later=True)
    drawn = Panel("figures", figures, answer_states, _draw, group="figures", later=True)
    return [shown, more, notes, build_export(context.settings, store), drawn]


TAB = Tab(gettext_noop("Results"), build_results)


def _figure(title: str, min_width: int = 320) -> list[gr.blocks.Block]:
    """A frame, hidden as long as it is empty, with a figure and its words."""
    with gr.Column(visible=False, elem_classes="qc-figure", min_width=min_width) as frame:
        markup(f"<h3>{explained(gettext(title))}</h3>")
        figure = gr.Plot(show_label=False, container=False)
        words = markup()
    return [frame, figure, words]


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


def _draw(state: PageState) -> list[Any]:
    """The figures, which take longer than the words and the table."""
    try:
        if state.study_ids:
            selection = read_selection(state.store, state.study_ids)
            return [*_figures(comparison_of(state)), *_layers(state.store, selection)]
    except QCompareError:
        pass  # the words say why there is nothing
    return [gr.update(visible=False), None, ""] * (len(KINDS) + 1)


def _figures(comparison: Comparison) -> list[Any]:
    values: list[Any] = []
    for kind in KINDS:
        words = kind.describe(comparison) if comparison.best else ""
        values += _drawn(kind.draw(comparison), [words]) if words else [gr.update(visible=False), None, ""]
    return values


def _layers(store: Store, selection: Selection) -> list[Any]:
    maps = layer_maps(selection, read_layer_scores(store, selection))
    if not maps:
        return [gr.update(visible=False), None, ""]
    shown, figure, words = _drawn(layer_map_figure(maps), [each.text for each in maps])
    return [shown, figure, words + page("layers", maps=maps)]


def _drawn(figure: Any, lines: list[str]) -> list[Any]:
    return [gr.update(visible=True), figure, page("describe", lines=lines)]
