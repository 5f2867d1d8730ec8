"""Results: what it shows in words, the table, the plots. Fills as recipes finish."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from qcompare.errors import NotFound
from qcompare.results.answers import read_all_answers
from qcompare.results.caveats import caveats
from qcompare.results.layer_map import layer_map_figure, layer_maps
from qcompare.results.plots import accuracy_against_bits, accuracy_bars, describe_accuracy
from qcompare.results.table import Comparison, Row, compare
from qcompare.results.verdict import verdict
from qcompare.store import Store
from qcompare.study.presets import TASKS
from qcompare.study.records import Result
from qcompare.ui.pages import empty, page
from qcompare.ui.parts import Part, Place, job_states, markup, study_exists
from qcompare.ui.questions import PRESSES, build_questions
from qcompare.ui.texts import HINTS

WORDS = {"queued": "waiting its turn", "running": "running now", "success": "no scores", "cancelled": "cancelled"}


@dataclass(frozen=True)
class Group:
    """Rows that may stand in one table."""

    rows: tuple[Row, ...]
    apart: str
    """What sets them apart from the first table; empty for that one."""


def build_results(store: Store) -> tuple[Part, ...]:
    """Lay out the tab in the current page."""
    words = markup(empty(), elem_id="qc-verdict")
    table = markup(elem_id="qc-table", js_on_load=PRESSES)
    questions = build_questions(store, table)
    with gr.Row(visible=False, elem_id="qc-plots", elem_classes="qc-figures") as plots:
        with gr.Column(elem_classes="qc-figure"):
            markup("<h3>Accuracy and its 95 % interval</h3>")
            bars = gr.Plot(show_label=False, container=False)
        with gr.Column(elem_classes="qc-figure"):
            markup("<h3>Accuracy against bits</h3>")
            scatter = gr.Plot(show_label=False, container=False)
    plot_words = markup()
    with gr.Column(visible=False, elem_classes="qc-figure") as map_column:
        markup("<h3>Which layer got which scheme</h3>")
        layers = gr.Plot(show_label=False, container=False)
        layer_words = markup()
    outputs = [words, table, plots, bars, scatter, map_column, layers, layer_words, plot_words]
    return Part("results", outputs, job_states, _show), questions


def _show(place: Place) -> list[Any]:
    hidden = gr.update(visible=False)
    if not study_exists(place):
        return [empty(), "", hidden, None, None, hidden, None, "", ""]
    study = place.store.study(place.study_id)
    try:
        results = place.store.results(study.id)
    except NotFound as error:
        return [empty(str(error)), "", hidden, None, None, hidden, None, "", ""]
    answers, unreadable = read_all_answers(place.store, results)
    comparison = compare(study, place.store.jobs(study.id), results, answers, unreadable)
    said = page("headline", verdict=verdict(comparison), caveats=caveats(comparison))
    return [said, table_html(comparison), *_plots(comparison), *_layers(comparison, results), _words(comparison)]


def table_html(comparison: Comparison) -> str:
    """The table of scores as HTML, escaped."""
    numbers = range(len(comparison.set_apart))
    grouped = [tuple(row for row in comparison.rows if row.group == number) for number in numbers]
    return page(
        "table",
        groups=[Group(rows, apart) for rows, apart in zip(grouped, comparison.set_apart, strict=True)],
        tasks=[TASKS[task] for task in comparison.study.tasks],
        model=comparison.model.name if comparison.model else comparison.study.model,
        highest={row.job_id for row in comparison.highest},
        hints=HINTS,
        words=WORDS,
    )


def _plots(comparison: Comparison) -> list[Any]:
    if not comparison.scored:
        return [gr.update(visible=False), None, None]
    return [gr.update(visible=True), accuracy_bars(comparison), accuracy_against_bits(comparison)]


def _layers(comparison: Comparison, results: list[Result]) -> list[Any]:
    maps = layer_maps(results, comparison.study)
    if not maps:
        return [gr.update(visible=False), None, ""]
    lines = [each.text(comparison.study.schemes[-1]) for each in maps]
    return [gr.update(visible=True), layer_map_figure(maps, comparison.study), page("describe", lines=lines)]


def _words(comparison: Comparison) -> str:
    return page("describe", lines=[describe_accuracy(comparison)]) if comparison.scored else ""
