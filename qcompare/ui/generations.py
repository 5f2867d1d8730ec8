"""Generations: the answers to each prompt side by side, marked where they leave BF16's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qcompare.errors import NotFound
from qcompare.results.agreement import agreement
from qcompare.results.table import REFERENCE, title
from qcompare.study.records import Result
from qcompare.study.spec import Study
from qcompare.ui.pages import empty, page
from qcompare.ui.parts import Part, Place, job_states, markup, study_exists


@dataclass(frozen=True)
class Column:
    """One recipe's answer."""

    title: str
    recipe: str
    text: str
    before: str
    word: str
    after: str
    note: str


@dataclass(frozen=True)
class Answers:
    """All answers to one prompt."""

    prompt: str
    columns: tuple[Column, ...]


def build_generations() -> Part:
    """Lay out the tab in the current page."""
    answers = markup(empty(), elem_id="qc-generations")
    return Part("generations", [answers], job_states, _show)


def _show(place: Place) -> list[Any]:
    if not study_exists(place):
        return [empty()]
    study = place.store.study(place.study_id)
    if not study.spec.prompts:
        return [empty("This study has no prompts. Add some under New and start again.")]
    try:
        results = place.store.results(study.id)
    except NotFound as error:
        return [empty(str(error))]
    if not results:
        text = "No answers yet: they appear here as recipes finish. See Progress for where they are."
        return [empty(text)]
    return [page("generations", prompts=side_by_side(study.spec, results))]


def side_by_side(study: Study, results: Sequence[Result]) -> list[Answers]:
    """The answers of all results by prompt, in the order of the study."""
    reference = next((result for result in results if result.recipe == REFERENCE), None)
    return [
        Answers(prompt, tuple(column(study, result, reference, position) for result in results))
        for position, prompt in enumerate(study.prompts)
    ]


def column(study: Study, result: Result, reference: Result | None, position: int) -> Column:
    """One recipe's answer to the prompt at a position, cut where it leaves the reference."""
    text = _text(result, position)
    name = title(result.recipe, result.bits.asked, several=len(study.avg_bits) > 1)
    if reference is None or result is reference:
        note = "the original model" if result.recipe == REFERENCE else "nothing to compare with yet"
        return Column(name, result.recipe, text, text, "", "", note)
    found = agreement(_text(reference, position), text)
    return Column(name, result.recipe, text, found.before, found.word, found.after, found.note)


def _text(result: Result, position: int) -> str:
    return result.generations[position].text if position < len(result.generations) else ""
