"""A study as one HTML file: opens without a network, with the screen's own verdict, table, figures and answers.

Everything a person or model wrote is escaped. Plotly's script is inside the file (4.8 MB of it).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qcompare.compare.answers import read_all_answers
from qcompare.compare.asked import with_asked
from qcompare.compare.questions import Change, read_questions
from qcompare.compare.selection import Selection, read_selection
from qcompare.compare.sensitivity import read_layer_scores
from qcompare.compare.table import Comparison, compare
from qcompare.errors import QCompareError
from qcompare.present import numbers
from qcompare.present.figures import KINDS
from qcompare.present.html import fragment, headline_html, questions_html, table_html
from qcompare.present.layer_map import layer_map_figure, layer_maps
from qcompare.present.side_by_side import side_by_side
from qcompare.store import Store
from qcompare.study.ids import StudyIds, format_ids
from qcompare.study.task import TASKS
from qcompare.words import LANGUAGES, gettext, language

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

QUESTIONS_A_CELL = 3
"""Lost questions shown of each recipe and task."""
STYLE = Path(__file__).parent / "templates" / "results.css"
SCRIPTS = tuple(Path(__file__).parent / "templates" / name for name in ("figures.js", "terms.js"))
"""Lets figures be saved as PNG, SVG and CSV."""


@dataclass(frozen=True)
class Drawn:
    """A figure of the report."""

    title: str
    html: str
    words: str
    """What it shows, for those who do not see it."""
    more: str = ""
    """HTML below it."""


@dataclass(frozen=True)
class Lost:
    """Some questions that a recipe lost on a task."""

    title: str
    html: str


def report(store: Store, study_ids: StudyIds) -> str:
    """The report of a study, or of several of one model, as one HTML page.

    Raises:
        NotFound: there is no such study.
        QCompareError: several studies of different models.
    """
    from plotly.offline import get_plotlyjs

    selection = read_selection(store, study_ids)
    comparison = compare(selection, *read_all_answers(store, selection.results))
    return fragment(
        "report",
        lang=LANGUAGES[language()],
        comparison=comparison,
        ids=format_ids(comparison.study_ids),
        created=numbers.day(comparison.created),
        style=STYLE.read_text(encoding="utf-8"),
        script="".join(path.read_text(encoding="utf-8") for path in SCRIPTS),
        plotly=get_plotlyjs(),
        headline=headline_html(comparison),
        table=table_html(comparison),
        figures=_figures(store, comparison, selection),
        lost=_lost(store, comparison),
        generations=fragment("generations", prompts=side_by_side(with_asked(store, selection)), waiting=()),
        study_files=[(study.name, study.spec.to_yaml()) for study in selection.studies],
    )


def _figures(store: Store, comparison: Comparison, selection: Selection) -> list[Drawn]:
    drawn = []
    if comparison.best:
        for kind in KINDS:
            words = kind.describe(comparison)
            if words:
                drawn.append(Drawn(gettext(kind.title), _html(kind.draw(comparison)), words))
    maps = layer_maps(selection, read_layer_scores(store, selection))
    if maps:
        words = " ".join(each.text for each in maps)
        more = fragment("layers", maps=maps)
        drawn.append(Drawn(gettext("Which layer got which scheme"), _html(layer_map_figure(maps)), words, more))
    return drawn


def _html(figure: "Figure") -> str:
    buttons = {"displayModeBar": True, "displaylogo": False, "responsive": True}
    text: str = figure.to_html(full_html=False, include_plotlyjs=False, config=buttons)
    return text


def _lost(store: Store, comparison: Comparison) -> list[Lost]:
    found = []
    for task in comparison.study.tasks:  # tasks first: a task's answers are read once for all recipes
        for row in comparison.scored:
            change = row.versus_bf16.task(task) if row.versus_bf16 else None
            if change is None or not change.lost:
                continue
            try:
                asked = read_questions(
                    store, row.job_id, task, Change.LOST, "", QUESTIONS_A_CELL, comparison.study_ids
                )
            except QCompareError:
                continue  # the table stands without them
            counts = {"lost": change.lost, "gained": change.gained}
            title = gettext(
                "{task}, {recipe}: {lost} lost, {gained} gained", task=TASKS.title(task), recipe=row.title, **counts
            )
            found.append(Lost(title, questions_html(asked)))
    return found
