"""How fast a server is: prompt and decode tokens per second and the time to the first token, at 1 and 8 requests.

Measured from outside on streamed answers, so the network and the server's own waiting line are part of it. No two
prompts begin alike: a cache of prefixes would answer for the model.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from qcompare.errors import JobError
from qcompare.study.result import SERVER_BATCHES, ServerSpeed

if TYPE_CHECKING:
    from qcompare.evaluate.scoring.endpoint import EndpointLM

ROUNDS = (3, 1)
"""How often each batch size is measured; medians are taken."""
PROMPT_TOKENS, NEW_TOKENS = 256, 64
SENTENCE = "The quick brown fox jumps over the lazy dog, and nobody in the village minds. "

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class _Answer:
    """When the parts of a streamed answer came, in seconds."""

    sent: float
    first: float
    last: float
    prompt: int
    """Tokens."""
    tokens: int
    """Written."""


def measure_speed(lm: "EndpointLM", report: Report = lambda done, total: None) -> tuple[ServerSpeed, ...]:
    """The speeds of a server, one of each batch size, after one request to warm it up.

    Raises:
        JobError: it fails, or does not stream.
    """
    length = min(PROMPT_TOKENS, lm.max_length // 2)
    text = lm.tok_encode(SENTENCE * (length // 16))
    found: list[ServerSpeed] = []
    number = done = 0

    def prompts(batch: int) -> list[list[int]]:
        nonlocal number
        number += batch
        return [[*lm.tok_encode(f"{each}: "), *text][:length] for each in range(number - batch, number)]

    _ask(lm, prompts(1)[0])
    for batch, rounds in zip(SERVER_BATCHES, ROUNDS, strict=True):
        measured = []
        with ThreadPoolExecutor(batch) as pool:
            for _ in range(rounds):
                measured.append(_speed(list(pool.map(lambda prompt: _ask(lm, prompt), prompts(batch)))))
                report(done := done + 1, sum(ROUNDS))
        found.append(_median(measured))
    return tuple(found)


def _ask(lm: "EndpointLM", prompt: list[int]) -> _Answer:
    payload = {**lm.payload(prompt, {"max_tokens": NEW_TOKENS}), "stream_options": {"include_usage": True}}
    sent, times, counted = time.perf_counter(), [], None
    for part in lm.client.stream(payload):
        if any(choice.get("text") for choice in part.get("choices") or ()):
            times.append(time.perf_counter())
        counted = (part.get("usage") or {}).get("completion_tokens", counted)
    if not times:
        raise JobError("{url}: its stream holds no text", url=lm.client.url)
    return _Answer(sent, times[0], times[-1], len(prompt), counted or len(times))


def _speed(answers: list[_Answer]) -> ServerSpeed:
    """Of requests that were sent together: rates add up over all of them."""
    sent, first = min(answer.sent for answer in answers), max(answer.first for answer in answers)
    decoding = max(answer.last for answer in answers) - min(answer.first for answer in answers)
    written = sum(answer.tokens - 1 for answer in answers)  # the first one ends the reading of the prompt
    return ServerSpeed(
        batch=len(answers),
        prompt_tokens_per_second=sum(answer.prompt for answer in answers) / (first - sent),
        decode_tokens_per_second=written / decoding if written and decoding else None,
        first_token_seconds=median(answer.first - answer.sent for answer in answers),
        prompt_tokens=sum(answer.prompt for answer in answers) // len(answers),
        new_tokens=sum(answer.tokens for answer in answers) // len(answers),
    )


def _median(speeds: list[ServerSpeed]) -> ServerSpeed:
    values = [speed.model_dump() for speed in speeds]
    found = {name: [value[name] for value in values if value[name] is not None] for name in values[0]}
    return ServerSpeed.model_validate({name: median(some) if some else None for name, some in found.items()})
