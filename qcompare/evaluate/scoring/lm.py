"""``PackedLM``: lm-eval's HFLM with log-likelihoods scored in the fastest mode that is exact for the model.

Greedy answers are written side by side (``greedy``) by models whose mode is packed. Chat templates, encoding rules,
the windows of long texts and what is sampled are HFLM's own.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from lm_eval.models.utils import handle_stop_sequences, postprocess_generated_text
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from .batched import BatchedLM, GenerationRequest, Progress
from .encode import Encoded, Pair, encode_pairs
from .greedy import Prompt, answer_greedily, has_plain_settings, stop_tokens
from .memory import Budget, default_row_tokens
from .modes import ModeChoice, ScoringMode, choose_mode
from .packed import score_plan
from .padded import score_padded
from .plan import make_plan
from .sequences import Sequence, unique_sequences
from .sums import Scores
from .threads import Workers

Request = tuple[Pair | None, list[int], list[int]]
GREEDY_SETTINGS = {"until", "max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens", "do_sample"}
GREEDY_SETTINGS |= {"temperature"}
"""Settings of a request that leave the answer the most likely token at each step."""
LOOKBACK = 2
"""Tokens before a stop string's own in which lm-eval looks for it (``MultiTokenEOSCriteria``)."""


class PackedLM(BatchedLM):
    """An lm-eval model around a loaded causal model and its tokenizer.

    ``mode`` is how log-likelihoods are scored, ``mode_choice`` the trial behind it, ``counts`` the requests scored in
    each mode, ``budget.tokens`` the tokens of one pass (lower after out-
    of-memory), ``computed`` and ``naive`` the tokens computed and those of one row per request.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        add_bos_token: bool | None = None,
        max_length: int | None = None,
        budget: Budget | None = None,
        workers: Workers | None = None,
        batch_size: int = 16,
        progress: Progress = lambda done, total: None,
        mode_choice: ModeChoice | None = None,
        enable_thinking: bool | None = None,
        think_end_token: str | int | None = None,
    ) -> None:
        """``budget`` is that of the study; ``batch_size`` is for generation.

        ``progress`` is called with tokens done and tokens in all; ``mode_choice`` is what a trial on the unquantized
        model found, None tries this one.
        """
        super().__init__(
            pretrained=model,
            tokenizer=tokenizer,
            add_bos_token=add_bos_token,
            max_length=max_length,
            batch_size=batch_size,
            enable_thinking=enable_thinking,
            think_end_token=think_end_token,
        )
        self.budget = budget or Budget(default_row_tokens(model))
        self.workers = workers or Workers.for_model(model)
        self.progress = progress
        self.mode_choice: ModeChoice = mode_choice or choose_mode(model, self.max_length, self.workers)
        self.mode = self.mode_choice.mode
        self.counts: Counter[ScoringMode] = Counter()
        self.computed = self.naive = 0

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> Scores:
        """(log-likelihood, greedy) of each lm-eval request.

        Raises:
            ValueError: the model is to think first (`enable_thinking`): refused by HFLM itself.
        """
        if self.enable_thinking:
            super().loglikelihood(requests)
        pairs = [request.args for request in requests]
        encoded = self._encode(pairs)
        return self._loglikelihood_tokens(
            [(pair, *tokens) for pair, tokens in zip(pairs, encoded, strict=True)], disable_tqdm=disable_tqdm
        )

    def _answers(self, waiting: list[GenerationRequest]) -> Iterator[tuple[list[GenerationRequest], list[str]]]:
        """Requests and their answers, one by one as they end; in padded batches what is not simply greedy."""
        ours = [one for one in waiting if self._is_simply_greedy(one)]
        prompts = [self._prompt(one) for one in ours]
        for number, written in answer_greedily(
            self.model, prompts, self.batch_size, self.budget, self.workers, self._report_steps, self._set_batch_size
        ):
            text = postprocess_generated_text(self.tok_decode(written.tokens), self._stops(ours[number]), None)
            self.cache_hook.add_partial("generate_until", ours[number].instance.args, text)
            yield [ours[number]], [text]
        yield from super()._answers([one for one in waiting if one not in ours])

    def _is_simply_greedy(self, request: GenerationRequest) -> bool:
        """Whether the answer is the most likely token at each step, within what the packed mode can do."""
        return (
            self.mode is ScoringMode.PACKED
            and request.is_greedy
            and not request.instance.args[1].keys() - GREEDY_SETTINGS
            and bool(request.tokens)
            and 0 < request.longest < self.max_length
            and len(self._read(request)) + request.longest <= (self.mode_choice.longest or self.max_length)
            and self.think_end_token is None
            and has_plain_settings(self.model)
        )

    def _read(self, request: GenerationRequest) -> list[int]:
        """The prompt's last tokens, with room for the answer."""
        return request.tokens[-(self.max_length - request.longest) :]

    def _prompt(self, request: GenerationRequest) -> Prompt:
        """As HFLM reads it, ending where HFLM ends an answer that is alone in its batch."""
        stops, ends = self._stops(request), stop_tokens(self.model)
        seen = LOOKBACK + max(len(self.tokenizer.encode(stop, add_special_tokens=False)) for stop in stops)

        def ended(new: list[int]) -> bool:
            tail = self.tokenizer.decode(new[-seen:])
            return new[-1] in ends or any(stop in tail for stop in stops)

        return Prompt(tuple(self._read(request)), request.longest, ended)

    def _stops(self, request: GenerationRequest) -> list[str]:
        until = request.instance.args[1].get("until")
        eos = self.tok_decode(self.eot_token_id, skip_special_tokens=False)
        stops: list[str] = handle_stop_sequences([until] if isinstance(until, str) else list(until or []), eos)
        return stops

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of each text: HFLM's own windows, all of them scored together."""
        if self.mode is ScoringMode.LM_EVAL:
            own: list[float] = super().loglikelihood_rolling(requests, disable_tqdm=disable_tqdm)
            return own
        windows = [self._windows(request.args[0]) for request in requests]
        scores = iter(self._score([window for some in windows for window in some]))
        totals = [float(sum(next(scores)[0] for _ in some)) for some in windows]
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def _windows(self, text: str) -> list[Encoded]:
        """(context, continuation) of each window, as `HFLM.loglikelihood_rolling` (0.4.13) cuts a text."""
        windows = get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            max_seq_len=self.max_length,
            context_len=1,
        )
        return [make_disjoint_window(window) for window in windows]

    def _encode(self, pairs: list[Pair]) -> list[Encoded]:
        return encode_pairs(self, pairs)

    def _loglikelihood_tokens(
        self, requests: list[Request], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> Scores:
        if self.mode is ScoringMode.LM_EVAL:
            self.counts[self.mode] += len(requests)
            own: Scores = super()._loglikelihood_tokens(requests, disable_tqdm=disable_tqdm, override_bs=override_bs)
            return own
        scores = self._score([(context, continuation) for _, context, continuation in requests])
        for (pair, _, _), score in zip(requests, scores, strict=True):
            if pair is not None:  # windows of a rolling log-likelihood have no text of their own
                self.cache_hook.add_partial("loglikelihood", pair, score)
        return scores

    def _score(self, requests: list[Encoded]) -> Scores:
        """Score encoded requests, sequences too long for packed rows in padded ones."""
        sequences = unique_sequences(requests, self.max_length)
        is_packed = self.mode is ScoringMode.PACKED
        limit = (self.mode_choice.longest or self.max_length) if is_packed else 0
        packed = [sequence for sequence in sequences if len(sequence.tokens) <= limit]
        padded = [sequence for sequence in sequences if len(sequence.tokens) > limit]
        plan = make_plan(packed)
        total = plan.tokens + sum(len(sequence.tokens) for sequence in padded)
        report = self._reporter(total)
        scores: Scores = [(0.0, True)] * len(requests)
        for mode, group in ((self.mode, packed), (ScoringMode.PADDED if is_packed else self.mode, padded)):
            if not group:
                continue
            if mode is ScoringMode.PACKED:
                found = score_plan(
                    self.model, plan, len(requests), self.budget, self.workers, report, self.mode_choice.whole_rows
                )
            else:
                found = score_padded(
                    self.model,
                    group,
                    len(requests),
                    self.budget,
                    self.workers,
                    report,
                    split=mode is ScoringMode.PADDED,
                )
            self._take(mode, group, found, scores)
        self.computed += total
        return scores

    def _take(self, mode: ScoringMode, group: list[Sequence], found: Scores, scores: Scores) -> None:
        for sequence in group:
            for one in sequence.continuations:
                scores[one.request] = found[one.request]
                self.naive += len(sequence.tokens)
                self.counts[mode] += 1

    def _reporter(self, total: int) -> Callable[[int], None]:
        """A progress function that adds up what workers report, one at a time."""
        lock, done = threading.Lock(), 0

        def report(tokens: int) -> None:
            nonlocal done
            with lock:
                done += tokens
                self.progress(done, total)

        return report
