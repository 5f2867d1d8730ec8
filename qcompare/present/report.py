"""A study as one HTML file: opens without a network, with the screen's own verdict, table, figures and answers.

Everything a person or model wrote is escaped. Plotly's script and the figures' data are inside the file, compressed.
"""

from dataclasses import dataclass
from pathlib import Path

from qcompare.compare.answers import read_all_answers
from qcompare.compare.asked import with_asked
from qcompare.compare.choice import job_to_ship
from qcompare.compare.next_tokens import read_next_tokens
from qcompare.compare.questions import Change, read_questions
from qcompare.compare.selection import read_selection
from qcompare.compare.table import Comparison, compare
from qcompare.errors import QCompareError
from qcompare.present import numbers
from qcompare.present.figures import figures, plot_data
from qcompare.present.html import fragment, headline_html, questions_html, table_html
from qcompare.present.packed import packed, packed_plotly
from qcompare.present.side_by_side import side_by_side
from qcompare.store import Store
from qcompare.study.ids import StudyIds, format_ids
from qcompare.study.task import TASKS
from qcompare.words import LANGUAGES, gettext, language

QUESTIONS_A_CELL = 3
"""Lost questions shown of each recipe and task."""
STYLE = Path(__file__).parent / "templates" / "results.css"
SCRIPTS = tuple(Path(__file__).parent / "templates" / name for name in ("plots.js", "figures.js", "terms.js"))
"""Draws figures, lets them be saved as PNG, SVG and CSV; explains terms."""


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
        script="".join(path.read_text(encoding="utf-8") for path in SCRIPTS),
        plotly=packed_plotly(),
        plots=packed(plot_data(drawn)),
        headline=headline_html(comparison),
        notes=[(study.name, study.notes) for study in selection.studies if study.notes],
        table=table_html(comparison),
        figures=drawn,
        lost=lost_questions(store, comparison),
        generations=fragment(
            "generations",
            prompts=side_by_side(answered, read_next_tokens(store, answered), job_to_ship(comparison)),
            waiting=(),
        ),
        study_files=[(study.name, study.spec.to_yaml()) for study in selection.studies],
    )


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
