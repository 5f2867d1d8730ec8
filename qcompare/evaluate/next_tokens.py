"""Tokens of an answer as they are stored: where each stands in the text, and what else could have come."""

from collections.abc import Collection, Sequence
from typing import Any

from qcompare.study.next_tokens import AnswerTokens, Candidate, NextToken
from qcompare.study.prompts import Prompt

DECIMALS = 6
TIED_NATS = 0.01
"""A server in half precision may write one of two tokens that differ by less."""
CONTEXT = 4
"""Tokens before a candidate that decide how it is written: a leading space, the rest of a letter of several bytes."""
INCOMPLETE = "�"
"""What tokenizers write for bytes that are no whole letter."""


def answer_tokens(
    tokenizer: Any,
    prompt: Prompt,
    written: Sequence[int],
    likeliest: Sequence[Sequence[tuple[int, float]]],
    stops: Collection[int],
) -> AnswerTokens:
    """The tokens of an answer.

    Args:
        written: tokens of the answer.
        likeliest: at each of them, ids and log-probabilities; the written one first.
        stops: tokens that end an answer.
    """
    text, tokens = _text(tokenizer, written), []
    for n, found in enumerate(likeliest):
        before = written[max(0, n - CONTEXT) : n]
        tokens.append(
            NextToken(
                at=_in_common(text, _text(tokenizer, written[:n]).rstrip(INCOMPLETE)),
                candidates=tuple(
                    Candidate(token, "" if token in stops else _piece(tokenizer, before, token), _rounded(logprob))
                    for token, logprob in found
                ),
            )
        )
    return AnswerTokens(prompt=prompt, tokens=tuple(tokens))


def server_tokens(prompt: Prompt, text: str, logprobs: object) -> AnswerTokens | None:
    """The tokens of a server's answer, by the log-probabilities in it; None where it gives none, or of another text.

    Args:
        logprobs: of a choice of a completions response: `tokens`, `token_logprobs`, `top_logprobs`.
    """
    if not isinstance(logprobs, dict):
        return None
    names, values, tops = (logprobs.get(key) for key in ("tokens", "token_logprobs", "top_logprobs"))
    if not (isinstance(names, list) and isinstance(values, list) and isinstance(tops, list)):
        return None
    if not len(names) == len(values) == len(tops):
        return None
    tokens, at = [], 0
    for name, value, top in zip(names, values, tops, strict=True):
        if not (isinstance(name, str) and _is_logprob(value) and isinstance(top, dict)):
            return None
        ends = at == len(text)  # an end token is named, but is not in the text
        if not ends and not text.startswith(name, at):
            return None
        others = sorted(
            ((each, p) for each, p in top.items() if each != name and _is_logprob(p)), key=lambda x: -x[1]
        )
        if others and others[0][1] > value + TIED_NATS:
            return None  # a greedy answer writes the likeliest: these belong to other tokens
        first = Candidate(None, "" if ends else name, _rounded(value))
        tokens.append(NextToken(at, (first, *(Candidate(None, each, _rounded(p)) for each, p in others))))
        at += 0 if ends else len(name)
    return AnswerTokens(prompt=prompt, tokens=tuple(tokens)) if tokens and at == len(text) else None


def _text(tokenizer: Any, tokens: Sequence[int]) -> str:
    return str(tokenizer.decode(tokens, skip_special_tokens=True))


def _in_common(text: str, begun: str) -> int:
    """Characters at the beginning that are the same; all but where a tokenizer cleans up spaces."""
    if text.startswith(begun):
        return len(begun)
    return next(n for n, (one, other) in enumerate(zip(text, begun + "\0", strict=False)) if one != other)


def _piece(tokenizer: Any, before: Sequence[int], token: int) -> str:
    """What a token adds to the text."""
    known = tokenizer.decode(before).rstrip(INCOMPLETE)
    longer = tokenizer.decode([*before, token])
    return str(longer[len(known) :]) if longer.startswith(known) else str(tokenizer.decode([token]))


def _is_logprob(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value <= 0


def _rounded(logprob: float) -> float:
    return round(min(0.0, max(logprob, -1e4)), DECIMALS)
