"""The answers of all recipes to each prompt, marked where they leave BF16's."""

import json
from dataclasses import dataclass
from types import MappingProxyType

from qcompare.compare.agreement import Agreement, agreement
from qcompare.compare.next_tokens import FirstDivergence, Likelihood, TokensOfAnswers, first_divergence
from qcompare.compare.selection import Selection
from qcompare.present.markup import visible
from qcompare.study.prompts import Prompt, so_far, turns
from qcompare.study.recipe import is_baseline
from qcompare.study.result import Result
from qcompare.words import gettext, ngettext, translate

LEAST_SHOWN = 0.01
"""Smaller probabilities are only said to be smaller."""


@dataclass(frozen=True)
class Answer:
    """One recipe's answer to one turn; its parts join to the text."""

    turn: str
    """What the user said before it."""
    before: str
    word: str
    after: str
    note: str
    likely: str = ""
    """How likely both models found the tokens at which they part; empty where that is not known."""

    @property
    def empty(self) -> bool:
        """The model said nothing."""
        return not (self.before or self.word)


@dataclass(frozen=True)
class Column:
    """One recipe's answers: one, or one a turn of a conversation."""

    job_id: str
    title: str
    recipe: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class PromptAnswers:
    """All answers to one prompt, or to the turns of one conversation."""

    prompt: str
    """Its first turn."""
    key: str
    """All of it, as JSON."""
    columns: tuple[Column, ...]

    @property
    def turns(self) -> int:
        """The most that any recipe answered."""
        return max((len(column.answers) for column in self.columns), default=0)


def side_by_side(
    selection: Selection, tokens: TokensOfAnswers = MappingProxyType({}), first: str = ""
) -> list[PromptAnswers]:
    """The answers of all results by prompt: the original's, that of `first`, the others in the order of the study.

    Args:
        tokens: of the answers (`read_next_tokens`); without them no probabilities are shown.
        first: id of a job, as that of the recipe to ship: of many columns, most cannot be seen at once.
    """
    return [_of_prompt(selection, prompt, tokens, first) for prompt in selection.spec.prompts]


def _of_prompt(selection: Selection, prompt: Prompt, tokens: TokensOfAnswers, first: str) -> PromptAnswers:
    steps = so_far(prompt)
    asked = [result for result in selection.results if _text(result, steps[-1]) is not None]
    names = {result.job_id for result in asked}
    shown = [result for result in asked if selection.repeats.get(result.job_id) not in names]
    shown.sort(key=lambda result: (not is_baseline(result.recipe), result.job_id != first))
    baseline = next((result for result in shown if is_baseline(result.recipe)), None)
    columns = (
        Column(
            job_id=result.job_id,
            title=translate(selection.titles[result.job_id]),
            recipe=result.recipe,
            answers=tuple(
                _answer(result, step, baseline, _parting(result, baseline, steps[: n + 1], tokens))
                for n, step in enumerate(steps)
            ),
        )
        for result in shown
    )
    return PromptAnswers(turns(prompt)[0], json.dumps(prompt), tuple(columns))


def _parting(
    result: Result, baseline: Result | None, steps: list[Prompt], tokens: TokensOfAnswers
) -> FirstDivergence | None:
    """Where the answer to the last of these turns leaves the baseline's, if both had read the same until then."""
    checkpoint = result.checkpoint
    if baseline is None or result is baseline or (checkpoint and checkpoint.other_tokenizer):
        return None
    *before, last = steps
    if any(_text(result, step) != _text(baseline, step) for step in before):
        return None
    theirs, ours = (tokens.get(each.job_id, {}).get(last) for each in (baseline, result))
    return first_divergence(theirs, ours) if theirs and ours else None


def _answer(result: Result, prompt: Prompt, baseline: Result | None, parting: FirstDivergence | None) -> Answer:
    """One recipe's answer to a prompt, cut where it leaves the baseline's."""
    turn, text = turns(prompt)[-1], _text(result, prompt) or ""
    if baseline is None or result is baseline:
        note = gettext("the original model") if is_baseline(result.recipe) else gettext("nothing to compare with yet")
        return Answer(turn, text, "", "", note)
    found = agreement(_text(baseline, prompt) or "", text)
    likely = likelihoods(text, parting) if parting else ""
    return Answer(turn, found.before, found.word, found.after, in_words(found), likely)


def likelihoods(text: str, parting: FirstDivergence) -> str:
    """In words: `original: “Paris” 0.62, “London” 0.21; here: “London” 0.44, “Paris” 0.40`.

    Args:
        text: the answer that the recipe gave.
    """
    before = text[: parting.at]
    begun = "" if not before or before[-1].isspace() else before.split()[-1]
    bare = len({each.text.strip() for each in parting.baseline}) < len(parting.baseline)

    def said(each: Likelihood) -> str:
        bound = "<" if each.at_most or each.probability < LEAST_SHOWN else ""
        value = f"{bound}{max(each.probability, LEAST_SHOWN):.2f}"
        return f"{_token(each.text, begun, bare)} {value}"

    original, here = (", ".join(map(said, pair)) for pair in (parting.baseline, parting.here))
    return gettext("original: {original}; here: {here}", original=original, here=here)


def _token(text: str, begun: str, bare: bool) -> str:
    """A token as a person reads it: with the beginning of its word, and what cannot be seen as a sign.

    Args:
        begun: the letters of an unfinished word before it.
        bare: the tokens differ in white space alone.
    """
    if not text:
        return gettext("(end of the answer)")
    if bare or not text.strip():
        return f"“{visible(text)}”"
    whole = text if text[0].isspace() else begun + text
    return f"“{whole.strip()}”"


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
