"""The answers of all recipes to each prompt, marked where they leave BF16's."""

from dataclasses import dataclass

from qcompare.results.agreement import agreement
from qcompare.results.selection import REFERENCE, Selection
from qcompare.study.records import Result
from qcompare.words import say


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


def side_by_side(selection: Selection) -> list[PromptAnswers]:
    """The answers of all results by prompt, in the order of the study."""
    return [_of_prompt(selection, prompt) for prompt in selection.study.spec.prompts]


def _of_prompt(selection: Selection, prompt: str) -> PromptAnswers:
    asked = [result for result in selection.results if any(each.prompt == prompt for each in result.generations)]
    names = {result.job_id for result in asked}
    shown = [result for result in asked if selection.repeats.get(result.job_id) not in names]
    reference = next((result for result in shown if result.recipe == REFERENCE), None)
    titles = selection.titles
    return PromptAnswers(prompt, tuple(_column(each, titles[each.job_id], prompt, reference) for each in shown))


def _column(result: Result, name: str, prompt: str, reference: Result | None) -> Column:
    """One recipe's answer to a prompt, cut where it leaves the reference."""
    text = _text(result, prompt)
    if reference is None or result is reference:
        note = say("the original model") if result.recipe == REFERENCE else say("nothing to compare with yet")
        return Column(name, result.recipe, text, text, "", "", note)
    found = agreement(_text(reference, prompt), text)
    return Column(name, result.recipe, text, found.before, found.word, found.after, found.note)


def _text(result: Result, prompt: str) -> str:
    return next((each.text for each in result.generations if each.prompt == prompt), "")
