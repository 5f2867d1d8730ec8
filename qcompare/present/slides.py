"""A study as slides: the answer, the table, each figure, each prompt; one HTML page, walked through by keys."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from qcompare.compare.asked import with_asked
from qcompare.compare.choice import choose
from qcompare.compare.selection import read_selection
from qcompare.compare.table import Comparison
from qcompare.present.answer import answer
from qcompare.present.figures import figures, plot_data
from qcompare.present.html import fragment
from qcompare.present.packed import packed, packed_plotly
from qcompare.present.report import STYLE
from qcompare.present.share_card import share_card
from qcompare.present.side_by_side import PromptAnswers, side_by_side
from qcompare.store import Store
from qcompare.words import LANGUAGES, language, translate

SCRIPTS = tuple(Path(__file__).parent / "templates" / name for name in ("plots.js", "slides.js"))
COLUMNS = 3
"""Answers beside each other that can be read from the back of a room."""


def slides(store: Store, comparison: Comparison, theme: str = "") -> str:
    """The slides of a study, or of several of one model.

    Args:
        theme: `light` or `dark`; default: as the browser wants it.
    """
    selection = read_selection(store, comparison.study_ids)
    drawn = figures(store, comparison, selection, for_slides=True)
    choice = choose(comparison)
    return fragment(
        "slides",
        lang=LANGUAGES[language()],
        theme=theme,
        comparison=comparison,
        card=share_card(comparison),
        answer=answer(comparison),
        pick=choice.pick.job_id if choice and choice.pick and choice.not_worse else "",
        figures=drawn,
        prompts=list(_prompts(comparison, side_by_side(with_asked(store, selection)))),
        plots=packed(plot_data(drawn)),
        plotly=packed_plotly(),
        style=STYLE.read_text(encoding="utf-8"),
        script="".join(path.read_text(encoding="utf-8") for path in SCRIPTS),
    )


def _prompts(comparison: Comparison, prompts: Sequence[PromptAnswers]) -> Iterator[PromptAnswers]:
    """Of each prompt the answers of the original, of the recipe to ship, and of the one that scored lowest."""
    choice = choose(comparison)
    rows = [comparison.baseline]
    if choice:
        rows += [choice.pick or choice.highest, min(choice.rows, key=lambda row: row.average or 0.0)]
    wanted = [translate(row.title) for row in rows if row]
    for prompt in prompts:
        chosen = sorted(
            (column for column in prompt.columns if column.title in wanted),
            key=lambda column: wanted.index(column.title),
        )
        yield replace(prompt, columns=tuple(chosen) or prompt.columns[:COLUMNS])
