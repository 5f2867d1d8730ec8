"""Where a recipe's greedy answer first leaves the baseline's, and how likely both models found both tokens there.

Up to that token both have read the very same tokens, so their probabilities answer the same question.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp

from qcompare.compare.asked import same_rows
from qcompare.compare.selection import Selection
from qcompare.store import Store
from qcompare.study.next_tokens import AnswerTokens, Candidate
from qcompare.study.prompts import Prompt

TokensOfAnswers = Mapping[str, Mapping[Prompt, AnswerTokens]]
"""By job id and prompt."""


@dataclass(frozen=True)
class Likelihood:
    """How likely a model found a token."""

    text: str
    """Empty for the token that ends the answer."""
    probability: float
    at_most: bool = False
    """It was not among the candidates noted: the probability is that of the last of them."""


@dataclass(frozen=True)
class FirstDivergence:
    """The first token that differs. Both lists hold the baseline's token and the recipe's, the likelier first."""

    at: int
    """Characters of either answer before it."""
    baseline: tuple[Likelihood, Likelihood]
    here: tuple[Likelihood, Likelihood]


def read_next_tokens(store: Store, selection: Selection) -> TokensOfAnswers:
    """Tokens of the answers of a selection, those to prompts that were asked later included.

    Older results, and servers without log-probabilities, have none.
    """
    rows = {job.id: job for job in selection.jobs}
    later = {study.id: store.asked_of(study.id) for study in selection.studies}
    return {
        result.job_id: {
            answer.prompt: answer
            for job_id in (result.job_id, *same_rows(store, later[result.study_id], rows[result.job_id]))
            for answer in store.folder(job_id).next_tokens()
        }
        for result in selection.results
    }


def first_divergence(baseline: AnswerTokens, here: AnswerTokens) -> FirstDivergence | None:
    """Where two answers to one prompt first have other tokens; None where one is the beginning of the other.

    Args:
        baseline: of a model with the same tokenizer.
    """
    for theirs, ours in zip(baseline.tokens, here.tokens, strict=False):
        first, other = theirs.candidates[0], ours.candidates[0]
        if not _same(first, other):
            pair = first, other
            return FirstDivergence(ours.at, _likely(theirs.candidates, pair), _likely(ours.candidates, pair))
    return None


def _same(one: Candidate, other: Candidate) -> bool:
    """By id; by text where a server tells no ids."""
    if one.token is None or other.token is None:
        return one.text == other.text
    return one.token == other.token


def _likely(found: tuple[Candidate, ...], pair: tuple[Candidate, Candidate]) -> tuple[Likelihood, Likelihood]:
    first, second = (_likelihood(found, wanted) for wanted in pair)
    return (first, second) if first.probability >= second.probability else (second, first)


def _likelihood(found: tuple[Candidate, ...], wanted: Candidate) -> Likelihood:
    known = next((each for each in found if _same(each, wanted)), None)
    return Likelihood(wanted.text, exp((known or found[-1]).logprob), known is None)
