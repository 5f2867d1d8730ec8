"""The answers of all recipes to each prompt, marked where they leave BF16's."""

from dataclasses import dataclass

from qcompare.compare.agreement import Agreement, agreement
from qcompare.compare.selection import Selection
from qcompare.study.prompts import Prompt, so_far, turns
from qcompare.study.recipe import is_baseline
from qcompare.study.result import Result
from qcompare.words import gettext, ngettext, translate


@dataclass(frozen=True)
class Answer:
    """One recipe's answer to one turn; its parts join to the text."""

    turn: str
    """What the user said before it."""
    before: str
    word: str
    after: str
    note: str

    @property
    def empty(self) -> bool:
        """The model said nothing."""
        return not (self.before or self.word)


@dataclass(frozen=True)
class Column:
    """One recipe's answers: one, or one a turn of a conversation."""

    title: str
    recipe: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class PromptAnswers:
    """All answers to one prompt, or to the turns of one conversation."""

    prompt: str
    """Its first turn."""
    columns: tuple[Column, ...]

    @property
    def turns(self) -> int:
        """The most that any recipe answered."""
        return max((len(column.answers) for column in self.columns), default=0)


def side_by_side(selection: Selection) -> list[PromptAnswers]:
    """The answers of all results by prompt, in the order of the study."""
    return [_of_prompt(selection, prompt) for prompt in selection.spec.prompts]


def _of_prompt(selection: Selection, prompt: Prompt) -> PromptAnswers:
    steps = so_far(prompt)
    asked = [result for result in selection.results if _text(result, steps[-1]) is not None]
    names = {result.job_id for result in asked}
    shown = [result for result in asked if selection.repeats.get(result.job_id) not in names]
    baseline = next((result for result in shown if is_baseline(result.recipe)), None)
    columns = (
        Column(
            title=translate(selection.titles[result.job_id]),
            recipe=result.recipe,
            answers=tuple(_answer(result, step, baseline) for step in steps),
        )
        for result in shown
    )
    return PromptAnswers(turns(prompt)[0], tuple(columns))


def _answer(result: Result, prompt: Prompt, baseline: Result | None) -> Answer:
    """One recipe's answer to a prompt, cut where it leaves the baseline's."""
    turn, text = turns(prompt)[-1], _text(result, prompt) or ""
    if baseline is None or result is baseline:
        note = gettext("the original model") if is_baseline(result.recipe) else gettext("nothing to compare with yet")
        return Answer(turn, text, "", "", note)
    found = agreement(_text(baseline, prompt) or "", text)
    return Answer(turn, found.before, found.word, found.after, in_words(found))


def in_words(found: Agreement) -> str:
    """In words: `same for 41 words`."""
    if found.identical:
        return gettext("word for word the same")
    if not found.same_words:
        return gettext("differs from the first word")
    if found.word:
        return ngettext("same for {n} word", "same for {n} words", found.same_words)
    return ngettext("same for {n} word, then ends", "same for {n} words, then ends", found.same_words)


def _text(result: Result, prompt: Prompt) -> str | None:
    return next((each.text for each in result.generations if each.prompt == prompt), None)
