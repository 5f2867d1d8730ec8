"""What a model found likely at each token of its answers to prompts: `next_tokens.json` beside a result.

Kept apart from the result, which is read far more often.
"""

from typing import NamedTuple

from qcompare.study.frozen import Frozen
from qcompare.study.prompts import Prompt

VERSION = 1
TOP = 5
"""Candidates noted at each token: as many as completions servers give."""


class Candidate(NamedTuple):
    """A token that could have come next."""

    token: int | None
    """Its id; None where a server does not tell."""
    text: str
    """Empty for one that ends the answer."""
    logprob: float
    """Natural logarithm of its probability: float32 log-softmax over the whole vocabulary, 6 decimals kept."""


class NextToken(NamedTuple):
    """One token of an answer."""

    at: int
    """Characters of the answer that come before it."""
    candidates: tuple[Candidate, ...]
    """The one that was written, then the others, the likeliest first."""


class AnswerTokens(Frozen):
    """All tokens of one answer, the one that ends it included."""

    prompt: Prompt
    """As in `Generation`."""
    tokens: tuple[NextToken, ...]


class NextTokens(Frozen):
    """All answers of one job."""

    version: int = VERSION
    answers: tuple[AnswerTokens, ...]
