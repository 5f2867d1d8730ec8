"""Requests as token sequences: what a causal model reads, and which of its predictions are needed.

The rules are lm-eval's (``HFLM._loglikelihood_tokens``, 0.4.13): a request is the context and the continuation; the
model reads all of it but the last token, cut from the left to ``max_length`` tokens; the continuation's tokens are
predicted at the last positions. Requests that make the model read the same tokens share one ``Sequence``.
"""

from collections.abc import Iterable
from collections.abc import Sequence as Seq
from dataclasses import dataclass

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Continuation:
    """One request at the end of a sequence: the continuation's tokens, predicted at the sequence's last positions."""

    request: int
    """Index of the request in the caller's list."""
    targets: Tokens


@dataclass(frozen=True)
class Sequence:
    """Tokens the model reads, and every request that needs its predictions."""

    tokens: Tokens
    continuations: tuple[Continuation, ...]

    @property
    def scored(self) -> int:
        """How many of the last positions are needed."""
        return max(len(one.targets) for one in self.continuations)


def sequence_tokens(context: Seq[int], continuation: Seq[int], max_length: int) -> Tokens:
    """What the model reads for one request.

    Raises ValueError for an empty context or continuation, and for a continuation longer than ``max_length``: lm-eval
    asserts the same three.
    """
    if not context or not continuation:
        raise ValueError(
            f"a request needs a context and a continuation; got {len(context)} and {len(continuation)} tokens"
        )
    if len(continuation) > max_length:
        raise ValueError(f"a continuation of {len(continuation)} tokens is longer than max_length {max_length}")
    return tuple([*context, *continuation][-(max_length + 1) : -1])


def unique_sequences(requests: Iterable[tuple[Seq[int], Seq[int]]], max_length: int) -> list[Sequence]:
    """The distinct sequences of (context tokens, continuation tokens) requests, in lexicographic order.

    The order puts sequences with a common prefix next to each other, which is what the planner shares.
    """
    ends: dict[Tokens, list[Continuation]] = {}
    for index, (context, continuation) in enumerate(requests):
        tokens = sequence_tokens(context, continuation, max_length)
        ends.setdefault(tokens, []).append(Continuation(index, tuple(continuation)))
    return [Sequence(tokens, tuple(ends[tokens])) for tokens in sorted(ends)]


def naive_tokens(requests: Iterable[tuple[Seq[int], Seq[int]]], max_length: int) -> int:
    """Tokens read when every request is one row without padding: the measure of what sharing saves."""
    return sum(len(sequence_tokens(context, continuation, max_length)) for context, continuation in requests)
