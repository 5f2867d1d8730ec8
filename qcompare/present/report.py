"""A study as one HTML file: opens without a network, with the screen's own verdict, table, figures and answers.

Everything a person or model wrote is escaped. Plotly's script and the figures' data are inside the file, compressed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcompare.compare.answers import read_all_answers
from qcompare.compare.asked import with_asked
from qcompare.compare.next_tokens import read_next_tokens
from qcompare.compare.questions import Change, read_questions
from qcompare.compare.selection import Selection, read_selection
from qcompare.compare.sensitivity import read_layer_scores
from qcompare.compare.table import Comparison, compare
from qcompare.errors import QCompareError
from qcompare.present import numbers
from qcompare.present.figures import KINDS
from qcompare.present.html import fragment, headline_html, questions_html, table_html
from qcompare.present.layer_map import layer_map_figure, layer_maps
from qcompare.present.packed import packed, packed_plotly
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
"""Lets figures be saved as PNG, SVG and CSV; explains terms."""
PLOTS = Path(__file__).parent / "templates" / "plots.js"
"""Draws figures where no server brings Plotly."""


@dataclass(frozen=True)
class Drawn:
    """A figure of the report."""

    title: str
    figure: "Figure"
    words: str
    """What it shows, for those who do not see it."""
    more: str = ""
    """HTML below it."""

    @cached_property
    def plot(self) -> dict[str, Any]:
        """As Plotly's script takes it: `data` and `layout`."""
        found: dict[str, Any] = json.loads(self.figure.to_json())
        return found


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
    selection = read_selection(store, study_ids)
    comparison = compare(selection, *read_all_answers(store, selection.results))
    drawn = figures(store, comparison, selection)
    answered = with_asked(store, selection)
    return fragment(
        "report",
        lang=LANGUAGES[language()],
        comparison=comparison,
        ids=format_ids(comparison.study_ids),
        created=numbers.day(comparison.created),
        style=STYLE.read_text(encoding="utf-8"),
        script="".join(path.read_text(encoding="utf-8") for path in (*SCRIPTS, PLOTS)),
        plotly=packed_plotly(),
        plots=packed_plots(drawn),
        headline=headline_html(comparison),
        notes=[(study.name, study.notes) for study in selection.studies if study.notes],
        table=table_html(comparison),
        figures=drawn,
        lost=lost_questions(store, comparison),
        generations=fragment(
            "generations", prompts=side_by_side(answered, read_next_tokens(store, answered)), waiting=()
        ),
        study_files=[(study.name, study.spec.to_yaml()) for study in selection.studies],
    )


def figures(store: Store, comparison: Comparison, selection: Selection, a_map_each: bool = False) -> list[Drawn]:
    """All figures that there are.

    Args:
        a_map_each: a figure for each recipe's map of layers; default: one for all.
    """
    drawn = []
    for kind in KINDS if comparison.best else ():
        if words := kind.describe(comparison):
            drawn.append(Drawn(gettext(kind.title), kind.draw(comparison), words))
    maps = layer_maps(selection, read_layer_scores(store, selection))
    for some in [[each] for each in maps] if a_map_each else filter(None, [maps]):
        words, more = " ".join(each.text for each in some), fragment("layers", maps=some)
        drawn.append(Drawn(gettext("Which layer got which scheme"), layer_map_figure(some), words, more))
    return drawn


def packed_plots(drawn: Sequence[Drawn]) -> str:
    """What the figures show, in their order, as `plots.js` unpacks it."""
    return packed(json.dumps([each.plot for each in drawn], ensure_ascii=False))


def lost_questions(store: Store, comparison: Comparison) -> list[Lost]:
    """Some questions that each recipe lost on each task."""
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
