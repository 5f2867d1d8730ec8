"""HTML of results, shared by the screen and the report, from templates that escape everything they are given."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from qcompare.compare.choice import choose
from qcompare.compare.questions import Change, Questions
from qcompare.compare.table import Comparison, Row
from qcompare.present import numbers, palette
from qcompare.present.answer import answer
from qcompare.present.caveats import caveats
from qcompare.present.equal_bits import choosing_paid
from qcompare.present.glossary import explained, term
from qcompare.present.markup import visible
from qcompare.present.render import difference, flips
from qcompare.study.result import SERVER_BATCHES
from qcompare.study.task import TASKS
from qcompare.words import gettext, gettext_noop, lookup, lookup_plural, translate

TEMPLATES = Path(__file__).parent / "templates"
WORDS = {
    "queued": gettext_noop("waiting its turn"), "running": gettext_noop("running now"),
    "success": gettext_noop("no scores"),
    "cancelled": gettext_noop("cancelled"),
}  # fmt: skip
CHANGES = {
    Change.LOST: gettext_noop("Lost"), Change.GAINED: gettext_noop("Gained"),
    Change.BOTH: gettext_noop("Right in both"), Change.NEITHER: gettext_noop("Wrong in both"),
}  # fmt: skip
"""How a question stands against BF16."""
CHANGES_OF_SCORES = {
    Change.LOST: gettext_noop("Worse"), Change.GAINED: gettext_noop("Better"),
    Change.BOTH: gettext_noop("The same"), Change.NEITHER: gettext_noop("Not scored"),
}  # fmt: skip
"""Likewise, of questions that are not right or wrong."""
MARKS = {True: "✓", False: "✗", None: ""}
FILTERS = (
    *(numbers.score, numbers.percent, numbers.points, numbers.bits, numbers.size, numbers.count, numbers.clock),
    *(numbers.about, numbers.divergence, numbers.probability, numbers.equals, numbers.questions),
    *(numbers.metric, numbers.metric_error, numbers.change, numbers.rate, numbers.latency, numbers.logprob),
    *(palette.colour, palette.marker, difference, flips, explained, term, translate, visible),
)
HINTS: dict[str, str] = {
    "bits": gettext_noop("Average bits of a quantized weight, scales not counted; with scales in small print."),
    "size": gettext_noop("All weights as they would be stored, embeddings and output layer at 16 bits."),
    "average": gettext_noop(
        "Mean accuracy over the tasks; in brackets the share of BF16's, below it that share's interval."
    ),
    "versus": gettext_noop(
        "Difference of the averages on the same questions, in percentage points, with an interval that holds "
        "at least 95 times in 100. The more recipes are compared, the wider it is made (Holm), so that it excludes "
        "zero exactly where the difference is significant: where chance alone would hardly do it."
    ),
    "kl": gettext_noop(
        "How far the predictions are from the original's on held-out text (Kullback–Leibler divergence per token, "
        "0 is the same), and how often both find the same next word most likely. It shows damage before scores do."
    ),
    "flips": gettext_noop(
        "Below it: questions lost and gained against BF16 (grey: may be chance). Click for the questions."
    ),
    "speed": gettext_noop(
        "Of that server, as measured from here while the study ran: one request at a time, and in small print eight "
        "at once. It says nothing about other servers, formats or machines."
    ),
    "metric": gettext_noop(
        "Not part of the average. Below it: the difference to BF16 (grey: may be chance), by a paired bootstrap of "
        "the questions."
    ),
    "stderr": gettext_noop("Share of right answers ± standard error."),
}
"""What a column means, shown on hover."""


@dataclass(frozen=True)
class Column:
    """A task as a column of the table."""

    name: str
    title: str
    text: str
    averaged: bool


def environment(*folders: Path) -> Environment:
    """A jinja2 environment with our number formats, over some folders of templates and this room's own."""
    found = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    found.policies["ext.i18n.trimmed"] = True
    found.install_gettext_callables(lookup, lookup_plural, newstyle=False)  # type: ignore[attr-defined]
    found.filters.update({filter_.__name__: filter_ for filter_ in FILTERS})
    return found


@cache
def _environment() -> Environment:
    return environment()


def fragment(name: str, **values: object) -> str:
    """A template of this room filled with values; texts are escaped, whoever wrote them."""
    return _environment().get_template(f"{name}.html").render(**values)


def script_json(value: object) -> str:
    """JSON that may stand in a script of a page, whatever its texts are."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def headline_html(comparison: Comparison) -> str:
    """What to ship, in both wordings, and what limits that."""
    paid = choosing_paid(comparison)
    return fragment("headline", answer=answer(comparison), paid=paid, caveats=caveats(comparison))


def table_html(comparison: Comparison) -> str:
    """The table of scores, or several where rows may not be compared."""
    groups = []
    for number, apart in enumerate(comparison.set_apart):
        rows = [row for row in comparison.rows if row.group == number]
        groups.append((rows, apart, _columns(comparison, rows)))
    return fragment(
        "table",
        groups=groups,
        model=comparison.model_title,
        pick=choice.pick.job_id if (choice := choose(comparison)) and choice.pick and choice.not_worse else "",
        highest={row.job_id for row in comparison.highest},
        hints=HINTS,
        words=WORDS,
        batches=SERVER_BATCHES,
    )


def _columns(comparison: Comparison, rows: list[Row]) -> list[Column]:
    """The tasks that a table's rows have scores of; all, where none has any yet."""
    measured = {score.task for row in rows for score in row.tasks} or {*comparison.study.tasks}
    return [_column(task, rows) for task in comparison.study.tasks if task in measured]


def _column(task: str, rows: list[Row]) -> Column:
    averaged = all(score.averaged for row in rows for score in row.tasks if score.task == task)
    found = next((score for row in rows for score in row.tasks if score.task == task), None)
    text = gettext(TASKS[task].text) if task in TASKS else task
    if averaged or found is None:
        return Column(task, TASKS.title(task), f"{text} {gettext(HINTS['stderr'])} {gettext(HINTS['flips'])}", True)
    title = f"{TASKS.title(task)}, {found.metric.replace('_', ' ')}"
    better = gettext("Higher is better.") if found.higher_is_better else gettext("Lower is better.")
    return Column(task, title, f"{text} {better} {gettext(HINTS['metric'])}", False)


def questions_html(found: Questions) -> str:
    """A page of questions."""
    single = bool(found.shown) and all(len(question.options) == 1 for question in found.shown)
    return fragment(
        "questions", found=found, changes=CHANGES_OF_SCORES if found.by_score else CHANGES, marks=MARKS, single=single
    )
