"""``BatchedLM``: lm-eval's HFLM with smaller batches after an out-of-memory, and generated answers that are kept.

HFLM's own ``generate_until`` answers each batch; batches are cut here, so that each can be kept when it is done.
``PackedLM`` answers what it can in its own way (``greedy``).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs
from transformers.generation.streamers import BaseStreamer

from qcompare.evaluate.row_budget import power_of_two

from .memory import is_out_of_memory, release_memory

Progress = Callable[[int, int], None]


class Answers(Protocol):
    """Generated texts by request key."""

    def get(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        """Those that are kept."""

    def put(self, texts: Mapping[bytes, str]) -> None:
        """Keep texts, all or none."""


class BatchedLM(HFLM):  # type: ignore[misc]
    """HFLM with batches that are halved on out-of-memory, and answers that are kept batch by batch."""

    progress: Progress = staticmethod(lambda done, total: None)
    """Told (tokens done, tokens in all); a request counts with all the tokens that its answer may have."""
    answers_at: Callable[[int], Answers] | None = None
    """Batch size → the answers generated with it: another padding may turn nearly equal tokens."""
    reused: int = 0
    """Requests answered from what was kept."""
    _tokens_done: int = 0
    _tokens_told: int = 0
    _tokens: int = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As HFLM, with its log-softmax in float32: in a bfloat16 model's own dtype, which is HFLM's default, values
        between −32 and −64 are 0.25 apart."""
        super().__init__(*args, softmax_dtype="float32", **kwargs)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """The answer to each request, those of one batch kept as soon as they are there."""
        asked = [self._request(number, request) for number, request in enumerate(requests)]
        self._tokens_done, self._tokens_told, self._tokens = 0, 0, sum(one.longest for one in asked)
        texts: dict[int, str] = {}
        waiting = self._take_kept(sorted(asked, key=GenerationRequest.order), texts)
        while waiting:
            try:
                for batch, found in self._answers(waiting):
                    self._keep(batch, found)
                    self._finish(batch, found, texts)
            except (RuntimeError, MemoryError) as error:
                self._lower_batch_size(error, min(self.batch_size, len(waiting)))
            waiting = self._take_kept([one for one in waiting if one.number not in texts], texts)
        return [texts[number] for number in range(len(requests))]

    def _answers(self, waiting: list["GenerationRequest"]) -> Iterator[tuple[list["GenerationRequest"], list[str]]]:
        """Requests and their answers: HFLM's own, longest prompts first, in padded batches of equal settings."""
        while waiting:
            batch = [one for one in waiting[: self.batch_size] if one.settings == waiting[0].settings]
            yield batch, super().generate_until([one.instance for one in batch], disable_tqdm=True)
            waiting = waiting[len(batch) :]

    def _loglikelihood_tokens(
        self, requests: list[Any], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        """HFLM's own scoring, from the start with smaller batches after an out-of-memory.

        ``override_bs`` is ignored: HFLM scores windows of long texts with it, a batch at a time.
        """
        while True:
            try:
                scores: list[tuple[float, bool]] = super()._loglikelihood_tokens(requests, disable_tqdm=disable_tqdm)
                return scores
            except (RuntimeError, MemoryError) as error:
                self._lower_batch_size(error, min(self.batch_size, len(requests)))

    def _lower_batch_size(self, error: BaseException, tried: int) -> None:
        """Go on with batches of at most half of what was tried.

        Raises:
            the error, where it says something else, or one request alone was too much.
        """
        if not is_out_of_memory(error) or tried == 1:
            raise error
        release_memory(error)
        self._set_batch_size(power_of_two(tried - 1))

    def _set_batch_size(self, size: int) -> None:
        self.batch_size_per_gpu = size

    def _request(self, number: int, instance: Any) -> "GenerationRequest":
        context, settings = instance.args
        longest = int(normalize_gen_kwargs(dict(settings), self.max_gen_toks)["max_gen_toks"])
        as_text = json.dumps(settings, sort_keys=True, default=str)
        return GenerationRequest(number, instance, self.tok_encode(context), as_text, longest)

    def _take_kept(self, waiting: list["GenerationRequest"], texts: dict[int, str]) -> list["GenerationRequest"]:
        """Answer what is kept for the present batch size; what is left."""
        if not self.answers_at:
            return waiting
        found = self.answers_at(self.batch_size).get([one.key for one in waiting if one.is_greedy])
        kept = [one for one in waiting if one.key in found and one.is_greedy]
        self.reused += len(kept)
        self._finish(kept, [found[one.key] for one in kept], texts)
        return [one for one in waiting if one.number not in texts]

    def _keep(self, batch: list["GenerationRequest"], found: list[str]) -> None:
        if self.answers_at and batch[0].is_greedy:
            self.answers_at(self.batch_size).put({one.key: text for one, text in zip(batch, found, strict=True)})

    def _finish(self, batch: list["GenerationRequest"], found: list[str], texts: dict[int, str]) -> None:
        texts.update((one.number, text) for one, text in zip(batch, found, strict=True))
        self._tokens_done += sum(one.longest for one in batch)
        self._report_steps(0)

    def _model_generate(self, context: Any, max_length: int, stop: list[str], **kwargs: Any) -> Any:
        if kwargs.get("num_beams", 1) == 1:  # transformers streams no beams
            kwargs["streamer"] = _Steps(lambda steps: self._report_steps(steps * len(context)))
        return super()._model_generate(context=context, max_length=max_length, stop=stop, **kwargs)

    def _report_steps(self, tokens: int) -> None:
        """Progress with so many new tokens of answers that have not ended; it never goes back."""
        self._tokens_told = min(self._tokens, max(self._tokens_told, self._tokens_done + tokens))
        self.progress(self._tokens_told, self._tokens)


class _Steps(BaseStreamer):  # type: ignore[misc]
    """Counts the steps of ``generate``, which shows a streamer the prompt first and then each step's tokens."""

    def __init__(self, report: Callable[[int], None]) -> None:
        self._report = report
        self._seen = 0

    def put(self, value: Any) -> None:
        if self._seen:
            self._report(self._seen)
        self._seen += 1

    def end(self) -> None:
        pass


@dataclass(frozen=True)
class GenerationRequest:
    """One lm-eval request with what decides its answer."""

    number: int
    instance: Any
    tokens: list[int]
    settings: str
    """Generation settings, as JSON."""
    longest: int
    """Tokens that the answer may have."""

    def order(self) -> tuple[str, int, str]:
        """Requests of equal settings together, the longest first, as HFLM puts them."""
        return self.settings, -len(self.tokens), self.instance.args[0]

    @cached_property
    def key(self) -> bytes:
        """Tokens and settings, as 20 bytes."""
        return hashlib.sha256(json.dumps([self.tokens, self.settings]).encode()).digest()[:20]

    @property
    def is_greedy(self) -> bool:
        """Whether the answer follows from the request; a sampled one also depends on what was sampled before."""
        settings = self.instance.args[1]
        return not settings.get("do_sample") and not settings.get("temperature")
