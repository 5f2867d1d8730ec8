"""``EndpointLM``: lm-eval's own client of completions servers, asked with the tokens that a loaded model would get.

lm-eval (0.4.13) builds the requests, orders them and reads scores out of the answers. Ours are the connection
(`client`), a check of every answer, and answers kept as they come, so that an interrupted job goes on. They are kept
in the job's folder and used by no other job: nobody can tell which weights a server holds today.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lm_eval.models.huggingface import HFLM
from lm_eval.models.openai_completions import LocalCompletionsAPI
from lm_eval.models.utils import postprocess_generated_text, resolve_max_length

from qcompare.errors import JobError
from qcompare.evaluate.benchmarks import Options, Unanswerable, default_add_bos_token
from qcompare.evaluate.endpoint.client import Client, Refused
from qcompare.evaluate.generate import encode_prompt
from qcompare.evaluate.next_tokens import server_tokens
from qcompare.store.cache import Rows
from qcompare.study.next_tokens import TOP, AnswerTokens
from qcompare.study.prompts import Prompt, so_far
from qcompare.study.result import Generation
from qcompare.words import Message

PROBE = "The capital of France is Paris, and the river that runs through it is the Seine."
PROBED_WORDS = (1, 4, 7)
"""So many last words of it are left to the server to write."""
NO_PENALTIES = {"repeat_penalty": 1.0, "repetition_penalty": 1.0}
"""Servers punish repetition unasked: llama-cpp-python by 1.1, vLLM as the model's `generation_config.json` says."""
AGREE_NATS = 0.25
"""Two computations of one log-probability differ by less, also in half precision."""

Report = Callable[[int, int], None]


class EndpointLM(LocalCompletionsAPI):  # type: ignore[misc]
    """An lm-eval model behind a completions server."""

    mode = "endpoint"
    """How log-likelihoods are computed, as results name it."""
    reused = 0
    """Requests answered from what an interrupted run of this job left."""
    progress: Report = staticmethod(lambda done, total: None)
    no_logprobs: Message | None = None
    """Why it has no log-probabilities of prompts; None where it has them."""
    puts_bos: bool = False
    """The server puts a BOS token before prompts that are sent as text."""
    drops_first: int = 0
    """Tokens at the beginning of a prompt that the server leaves out of its list."""
    _gives_top: bool | None = None
    """It takes requests for log-probabilities of what it writes; None: not tried yet."""
    _neutral: Mapping[str, float] = MappingProxyType({})
    _done = _total = 0

    def __init__(
        self,
        client: Client,
        model: str | None,
        folder: Path,
        options: Options,
        num_concurrent: int,
        max_length: int | None,
        kept: Path,
    ) -> None:
        """
        Args:
            model: as the server names it; None takes its first.
            folder: of the study's model, whose tokenizer and config are used.
            options: how the questions are put; `add_bos_token` None is resolved as for loaded models.
            num_concurrent: requests at once.
            max_length: tokens of a prompt and its answer; None: what the study's model and the server allow.
            kept: file of answers.

        Raises:
            JobError: the server is down, names no model, or answers in another form.
        """
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        served = client.models()
        if model is None and not served:
            raise JobError("{url}: lists no models: name the one to ask with model", url=client.url)
        name = model or str(served[0]["id"])
        limits = [resolve_max_length(config), *(m.get("max_model_len") for m in served if m["id"] == name)]
        super().__init__(
            model=name,
            base_url=client.url,
            tokenizer_backend="huggingface",
            tokenizer=str(folder),
            num_concurrent=max(2, num_concurrent),  # one goes another way through lm-eval; the pool limits
            max_retries=1,  # the client tries again itself, where that helps
            max_length=max_length or min(limit for limit in limits if isinstance(limit, int)),
            seed=options.seed,
        )
        self.client, self.config = client, config
        self.add_bos_token = default_add_bos_token(options.add_bos_token, self, self.tokenizer)
        thinking = options.enable_thinking
        self.chat_template_args = {} if thinking is None else {"enable_thinking": thinking}
        end = options.think_end_token
        self._think_end = self.tokenizer.decode(end) if isinstance(end, int) else end
        self._pool = ThreadPoolExecutor(num_concurrent)
        self._kept = Rows(kept)
        self._probe()
        self._neutral = self._without_penalties()

    def close(self) -> None:
        """Close the connections to the server."""
        self._pool.shutdown()
        self.client.close()

    def _probe(self) -> None:
        """Find out whether the server takes tokens, and gives log-probabilities of prompts."""
        tokens = self.tok_encode(PROBE)
        for self.tokenized_requests in (True, False):
            try:
                answer = self.client.complete(self.payload(tokens), tries=1)
            except Refused as refusal:
                self.no_logprobs = refusal.message
                continue
            self.no_logprobs = Message("the server gives no log-probabilities of prompts (echo with logprobs)")
            if len(_logprobs(answer, "token_logprobs")) > 1:
                self._note_bos(answer, tokens)
                self.no_logprobs = self._other_start(tokens) or self._find_layout(tokens)
                return
        self._probe_writing(tokens)

    def _probe_writing(self, tokens: list[int]) -> None:
        for self.tokenized_requests in (True, False):
            try:
                answer = self.client.complete(self.payload(tokens, {"max_tokens": 1}))
            except Refused:
                if self.tokenized_requests:
                    continue
                raise
            self._note_bos(answer, tokens)
            if _prompt_tokens(answer) == len(tokens):
                return

    def _without_penalties(self) -> dict[str, float]:
        """What keeps a server from penalties of its own, where it takes that (OpenAI's does not)."""
        try:
            self.client.complete({**self.payload(self.tok_encode(PROBE), {"max_tokens": 1}), **NO_PENALTIES}, tries=1)
        except Refused:
            return {}
        return NO_PENALTIES

    def _note_bos(self, answer: dict[str, Any], tokens: list[int]) -> None:
        self.puts_bos = not self.tokenized_requests and _prompt_tokens(answer) == len(tokens) + 1

    def _other_start(self, tokens: list[int]) -> Message | None:
        if not self.puts_bos or tokens[0] == self.prefix_token_id:
            return None
        return Message(
            "the server puts a start-of-text token before prompts and this study does not: set add_bos_token: true"
        )

    def _find_layout(self, tokens: list[int]) -> Message | None:
        """Which log-probability belongs to which token; what is wrong where none of the known layouts fits.

        llama-cpp-python 0.3.36 (`llama.py`, `all_logprobs`) leaves a leading BOS token out of its list. Where there
        is none, it gives what a token would be worth one place later: every value is wrong.
        """
        answer = self.client.complete(self.payload(tokens))
        for self.drops_first in (0, 1):
            if self.drops_first and len(_logprobs(answer, "token_logprobs")) > len(tokens):
                break  # it leaves nothing out
            self._scores(answer, tokens, 1 + self.drops_first)
            if self._agrees(answer, tokens):
                return None
        return Message("the server's log-probabilities of prompts differ from those it generates with")

    def _agrees(self, answer: dict[str, Any], tokens: list[int]) -> bool:
        """The token that the server writes after the beginning of a prompt is as likely as when it is part of one."""
        _, tops = self._prompt_logprobs(answer, tokens)
        for words in PROBED_WORDS:
            text = PROBE.rsplit(" ", words)[0]
            begin = self.tok_encode(text)
            written = self.client.complete(self.payload(begin, {"max_tokens": 1, "logprobs": 1}))
            found = _logprobs(written, "token_logprobs")
            if begin != tokens[: len(begin)] or not found or not _is_logprob(found[0]):
                continue  # nothing to compare with
            likely = [max(tops[len(begin)].values())]
            longer = self.tok_encode(text + self._text(written))
            if longer[:-1] == begin:
                likely.append(self._scores(self.client.complete(self.payload(longer)), longer, len(begin))[0])
            if any(abs(value - found[0]) > AGREE_NATS for value in likely):
                return False
        return True

    def tok_encode(self, string: Any, add_special_tokens: bool | None = None, **kwargs: Any) -> Any:
        """Tokens of a text, or of several, as lm-eval's `hf` backend makes them: the server is asked what a loaded
        model is asked."""
        if isinstance(string, str):
            return HFLM.tok_encode(self, string, add_special_tokens, **kwargs)
        return [HFLM.tok_encode(self, one) for one in string]

    def create_message(self, messages: Sequence[Any], generate: bool = False) -> Any:
        """The prompt of a request, in the form that the server takes."""
        (prompt,) = messages
        tokens = self.tok_encode(prompt) if isinstance(prompt, str) else prompt
        if self.tokenized_requests:
            return [tokens]
        return self.tokenizer.decode(tokens[1:] if self.puts_bos and tokens[0] == self.prefix_token_id else tokens)

    apply_chat_template = HFLM.apply_chat_template
    tokenizer_name = HFLM.tokenizer_name

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-likelihood, greedy) of each lm-eval request.

        Raises:
            Unanswerable: the server gives no log-probabilities of prompts, or the model is to think first.
            JobError: it fails, or its answer does not fit the request.
        """
        self._check_rates()
        scores: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=disable_tqdm)
        return scores

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of each whole text. Raises as `loglikelihood`."""
        self._check_rates()
        if self.drops_first:  # the windows of a text begin with one token of context
            raise Unanswerable("the server gives no log-probability of the token that follows a BOS token")
        scores: list[float] = super().loglikelihood_rolling(requests, disable_tqdm=disable_tqdm)
        return scores

    def _check_rates(self) -> None:
        if self.no_logprobs:
            raise Unanswerable(self.no_logprobs)
        if self.chat_template_args.get("enable_thinking"):
            raise Unanswerable("answers with a thinking part cannot be rated, only written")

    def _loglikelihood_tokens(self, requests: list[Any], **kwargs: Any) -> list[tuple[float, bool]]:
        self._done, self._total = 0, len(requests)
        scores: list[tuple[float, bool]] = super()._loglikelihood_tokens(requests, **kwargs)
        return scores

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """The answer to each lm-eval request. Raises JobError as `loglikelihood`."""
        self._done, self._total = 0, len(requests)
        texts: list[str] = super().generate_until(requests, disable_tqdm=disable_tqdm)
        return texts

    async def amodel_call(
        self,
        session: Any,
        sem: Any,
        messages: list[Any],
        *,
        generate: bool = True,
        cache_keys: list[Any] | None = None,
        ctxlens: list[int] | None = None,
        gen_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """One request, in place of lm-eval's own connection."""
        context = ctxlens[0] if ctxlens and not generate else 0
        settings = dict(gen_kwargs or {}) if generate else None
        answer = await asyncio.get_running_loop().run_in_executor(
            self._pool, self._answer, messages[0], settings, context
        )
        self._done += 1
        self.progress(self._done, self._total)
        return [answer]

    def _answer(self, prompt: Any, gen_kwargs: dict[str, Any] | None, context: int) -> str | tuple[float, bool]:
        """A written answer, or the score of what follows the first `context` tokens."""
        payload = self.payload(prompt, gen_kwargs)
        key = _key(self.client.url, payload, context)
        found: str | list[Any]
        if kept := self._kept.get([key]):
            found = json.loads(kept[key])
            self.reused += 1
        else:
            answer = self.client.complete(payload)
            if gen_kwargs is None:
                found = [*self._scores(answer, prompt, context)]
            else:
                found = postprocess_generated_text(self._text(answer), gen_kwargs.get("until"), self._think_end)
            self._kept.put({key: json.dumps(found).encode()})
        return found if isinstance(found, str) else (found[0], found[1])

    def payload(self, prompt: Any, gen_kwargs: dict[str, Any] | None = None) -> dict[str, Any]:
        """A request to write, or without `gen_kwargs` one to score."""
        payload: dict[str, Any] = self._create_payload(
            self.create_message([prompt]),
            generate=gen_kwargs is not None,
            gen_kwargs=dict(gen_kwargs or {}),
            seed=self._seed,
        )
        return payload if gen_kwargs is None else {**self._neutral, **payload}

    def _scores(self, answer: dict[str, Any], tokens: list[int], context: int) -> tuple[float, bool]:
        """lm-eval's reading of an answer, after what it takes for granted is checked.

        Raises:
            Unanswerable: the score of the second token is asked for, and the server does not give it.
            JobError: other lengths than the prompt's, or a log-probability that is none.
        """
        if context <= self.drops_first:
            raise Unanswerable("the server gives no log-probability of the token that follows a BOS token")
        values, tops = self._prompt_logprobs(answer, tokens)
        logprobs = {"token_logprobs": [*values, None], "top_logprobs": [*tops, None]}
        for position in range(context, len(tokens)):
            if not (_is_logprob(values[position]) and isinstance(tops[position], dict) and tops[position]):
                raise JobError(
                    "{url}: gives no finite log-probability of token {position} of {n}",
                    url=self.client.url,
                    position=position + 1,
                    n=len(tokens),
                )
        ((value, greedy),) = self.parse_logprobs({"choices": [{"index": 0, "logprobs": logprobs}]}, ctxlens=[context])
        return float(value), bool(greedy)

    def _prompt_logprobs(self, answer: dict[str, Any], tokens: list[int]) -> tuple[list[Any], list[Any]]:
        """Of each token of a prompt: its log-probability, and that of the likeliest one.

        Raises:
            JobError: there are fewer or more of them than tokens.
        """
        first = [None] * self.drops_first
        values = first + _logprobs(answer, "token_logprobs")
        tops = first + _logprobs(answer, "top_logprobs")
        n, counted = len(tokens), _prompt_tokens(answer)
        if counted != n or not n <= len(values) <= n + 1 or len(tops) != len(values):
            raise JobError(
                "{url}: gives {found} log-probabilities of a prompt of {n} tokens and counts {counted}: it has "
                "another tokenizer than the study's model, or shortens prompts",
                url=self.client.url,
                found=len(values),
                n=n,
                counted=counted,
            )
        return values[:n], tops[:n]  # without the one that is written

    def _text(self, answer: dict[str, Any]) -> str:
        text = answer["choices"][0].get("text")
        if not isinstance(text, str):
            raise JobError("{url}: its response holds no text", url=self.client.url)
        return text

    def answer(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int,
        report: Report = lambda done, total: None,
        note: Callable[[AnswerTokens], None] = lambda tokens: None,
    ) -> list[Generation]:
        """Answer each prompt greedily, as `evaluate.generate` does: by the study's chat template, turn by turn.

        Args:
            note: told the tokens of each answer whose log-probabilities the server gives.

        Returns:
            The answers in the order of the prompts, and of the turns of each.
        """
        found: list[Generation] = []
        total = sum(len(so_far(prompt)) for prompt in prompts)
        for conversation in self._pool.map(lambda prompt: self._converse(prompt, max_new_tokens), prompts):
            for answer, tokens in conversation:
                found.append(answer)
                if tokens:
                    note(tokens)
            report(len(found), total)
        return found

    def _converse(self, prompt: Prompt, max_new_tokens: int) -> list[tuple[Generation, AnswerTokens | None]]:
        given: list[tuple[Generation, AnswerTokens | None]] = []
        for asked in so_far(prompt):
            tokens = encode_prompt(self.tokenizer, asked, [answer.text for answer, _ in given])
            began = time.perf_counter()
            answer = self._write(tokens, max_new_tokens)
            seconds, text = time.perf_counter() - began, self._text(answer)
            written = (answer.get("usage") or {}).get("completion_tokens")
            count = written if isinstance(written, int) else len(self.tokenizer(text)["input_ids"])
            found = server_tokens(asked, text, answer["choices"][0].get("logprobs"))
            given.append((Generation(prompt=asked, text=text, tokens=count, seconds=seconds), found))
        return given

    def _write(self, tokens: list[int], max_new_tokens: int) -> dict[str, Any]:
        """The answer to a prompt, with log-probabilities where the server gives them."""
        plain = self.payload(tokens, {"max_tokens": max_new_tokens})
        if self._gives_top is not False:
            try:
                answer = self.client.complete(plain | {"logprobs": TOP})
                self._gives_top = True
                return answer
            except Refused:
                if self._gives_top:
                    raise
        answer = self.client.complete(plain)
        self._gives_top = False
        return answer


def _logprobs(answer: dict[str, Any], name: str) -> list[Any]:
    """A list of the answer's log-probabilities; empty where it has none."""
    found = answer["choices"][0].get("logprobs")
    values = found.get(name) if isinstance(found, dict) else None
    return values if isinstance(values, list) else []


def _prompt_tokens(answer: dict[str, Any]) -> int:
    """Tokens of the prompt, as the server counts them; else all that have a log-probability but the one written."""
    counted = (answer.get("usage") or {}).get("prompt_tokens")
    return counted if isinstance(counted, int) else len(_logprobs(answer, "token_logprobs")) - 1


def _is_logprob(value: object) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _key(*request: Any) -> bytes:
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).digest()[:20]
