"""The questions behind a score: opened by a click on a cell of the table, searched and filtered."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from qcompare.compare.questions import PAGE, Change, read_questions
from qcompare.errors import QCompareError
from qcompare.present.html import CHANGES, CHANGES_OF_SCORES, questions_html
from qcompare.store import Store
from qcompare.study.ids import StudyIds, parse_ids
from qcompare.study.task import TASKS
from qcompare.ui.pages import page
from qcompare.ui.parts import QUIET, markup
from qcompare.words import gettext, translate

PRESSES = """
window.qcompare.pickCell = (asked) => trigger('pick', asked);
window.qcompare.showCell();
window.qcompare.presses(element, '.qc-cell', (pressed) => {
  window.qcompare.note('cell', `${pressed.job}/${pressed.task}`);
  setTimeout(() => document.querySelector('#qc-questions')?.scrollIntoView({block: 'nearest'}), 400);
});
"""


@dataclass(frozen=True)
class Cell:
    """What was clicked, and how much of it is shown."""

    job_id: str
    task: str
    among: StudyIds
    """The studies that are looked at."""
    question: str = ""
    """Of a single question: `SUBJECT/NUMBER`."""
    limit: int = PAGE


def build_questions(store: Store, table: gr.HTML, study_id: gr.Textbox) -> None:
    """Lay out the list below the table and let it follow the table's cells; `page.js` hides it where none is open."""
    cell = gr.State(None)
    with gr.Column(elem_id="qc-questions", elem_classes="qc-figure"):
        heading = markup()
        with gr.Row():
            kind = gr.Radio(_choices({}), value="", label=gettext("Against BF16"), scale=2, min_width=280)
            search = gr.Textbox(
                label=gettext("Search"),
                placeholder=gettext("a word of the question, or a subject"),
                scale=1,
                min_width=200,
            )
            apart = gr.Checkbox(False, label=gettext("Only where recipes disagree"), scale=0, min_width=280,
                                elem_id="qc-disagree")  # fmt: skip
        listed = markup(elem_id="qc-question-list")
        more = gr.Button(gettext("Show more"), visible=False, size="sm")
    outputs = [cell, heading, kind, apart, listed, more]
    filters = [kind, search, apart]

    def pick(event: gr.EventData, among: str, *asked: Any) -> list[Any]:
        cell = Cell(str(event.job), str(event.task), parse_ids(among), str(event.question))
        return _shown(store, cell, *asked)

    def widen(chosen: Cell | None, *asked: Any) -> list[Any]:
        return _shown(store, chosen and replace(chosen, limit=chosen.limit + PAGE), *asked)

    def again(chosen: Cell | None, *asked: Any) -> list[Any]:
        return _shown(store, chosen and replace(chosen, limit=PAGE), *asked)

    table.pick(pick, [study_id, *filters], outputs, **QUIET)
    gr.on([each.input for each in filters], again, [cell, *filters], outputs, trigger_mode="always_last", **QUIET)
    more.click(widen, [cell, *filters], outputs, **QUIET)


def _choices(counts: Mapping[Change, int], by_score: bool = False) -> list[tuple[str, str]]:
    names = CHANGES_OF_SCORES if by_score else CHANGES
    total = [f" {sum(counts.values())}"] if counts else [""]
    return [
        (gettext("All") + total[0], ""),
        *((f"{gettext(name)} {counts.get(key, '')}".strip(), key) for key, name in names.items()),
    ]


def _shown(store: Store, cell: Cell | None, kind: str, search: str, apart: bool) -> list[Any]:
    if cell is None:
        return [gr.skip()] * 6
    try:
        found = read_questions(
            store, cell.job_id, cell.task, Change(kind) if kind else None, search or "", cell.limit, cell.among,
            cell.question, apart,
        )  # fmt: skip
    except QCompareError as error:
        return [
            cell,
            "",
            gr.skip(),
            gr.skip(),
            f'<p class="qc-error" role="alert">{escape(translate(error.message))}</p>',
            gr.update(visible=False),
        ]
    heading = gettext("{task}, {recipe}: the questions", task=TASKS.title(cell.task), recipe=found.title)
    return [
        cell,
        f"<h3>{escape(heading)}</h3>" + (page("all_questions") if cell.question else ""),
        gr.update(choices=_choices(found.counts, found.by_score)),
        gr.update(
            label=gettext("Only where recipes disagree ({n})", n=found.disagreements), visible=not found.by_score
        ),
        questions_html(found),
        gr.update(visible=len(found.shown) < found.found),
    ]
