"""The answers of all recipes to each prompt, marked where they leave BF16's."""

from collections.abc import Sequence
from dataclasses import dataclass

from qcompare.results.agreement import agreement
from qcompare.results.table import REFERENCE, title
from qcompare.study.records import Result
from qcompare.study.spec import Study


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
class PromptAnswers:
    """All answers to one prompt."""

    prompt: str
    columns: tuple[Column, ...]


def side_by_side(study: Study, results: Sequence[Result]) -> list[PromptAnswers]:
    """The answers of all results by prompt, in the order of the study."""
    reference = next((result for result in results if result.recipe == REFERENCE), None)
    return [
        PromptAnswers(prompt, tuple(column(study, result, reference, position) for result in results))
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
