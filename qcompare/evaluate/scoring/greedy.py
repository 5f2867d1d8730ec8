"""Greedy answers to many prompts, side by side in places that are refilled: continuous batching, as in vLLM.

A beginning that several prompts share (few-shot examples) is computed and kept once. The prompts, but for their last
tokens, are read in packed rows; each then has a place in ``Places``, which holds the keys and values of what it does
not share, and every forward pass adds to every answer. An answer that ends leaves its place to the next prompt.

A pass reads a few more tokens where a text seems to repeat itself: what came after the same three tokens before
(prompt lookup decoding, https://github.com/apoorvumang/prompt-lookup-decoding). Of these it keeps those that are the
model's own choice, so the text is the one that a prompt gets alone, up to rounding between equally likely tokens.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from qcompare.evaluate.row_budget import power_of_two

from .attention import PrefixStore, attend_row, packed_model, serving
from .head import hidden_states, logits_of, split_model
from .memory import Budget, is_out_of_memory, release_memory
from .places import Places, SharedPrefix, Step
from .plan import make_plan, with_prefixes
from .rows import make_row
from .sequences import Tokens, unique_sequences
from .threads import Workers, run_jobs

REFILL = 8
"""One in this many places must be free before prompts are read: several together are faster than one by one."""
LEAST_SAVED = 0.25
"""Of the keys and values of all places: a beginning whose sharing saves less is not shared. Answers of different
beginnings attend one group after the other, which takes longer where examples are drawn for each question (gsm8k)."""
LOOKUP = 3
"""Tokens by which a text is found to repeat itself."""
PASS_TOKENS = 32
"""Shared by the answers of a pass for reading ahead: about as many as take little longer than one each."""
HARMLESS = {"_from_model_config", "bos_token_id", "eos_token_id", "pad_token_id", "transformers_version"}
HARMLESS |= {"do_sample", "temperature", "top_p", "top_k", "min_p", "typical_p", "max_length", "max_new_tokens"}
HARMLESS |= {"use_cache", "output_attentions", "output_hidden_states"}
"""Settings of a model's `generation_config` that leave its most likely tokens as they are."""


def has_plain_settings(model: Any) -> bool:
    """Whether the model's own settings change no logits (no repetition penalty, no forced or suppressed tokens)."""
    settings = model.generation_config.to_diff_dict()
    return {name for name, value in settings.items() if value is not None} <= HARMLESS


def stop_tokens(model: Any) -> set[int]:
    """What `generate` ends an answer at."""
    found = model.generation_config.eos_token_id
    return set() if found is None else set(found) if isinstance(found, list) else {found}


@dataclass(frozen=True)
class Prompt:
    """What is to be answered, and how long."""

    tokens: Tokens
    most: int
    """New tokens at most."""
    ends: Callable[[list[int]], bool]
    """Told the new tokens after each one: whether the answer is complete."""


Likeliest = list[tuple[int, float]]
"""Tokens with their log-probabilities, the likeliest first."""


@dataclass
class Written:
    """What the model has added to a prompt."""

    tokens: list[int] = field(default_factory=list)
    likeliest: list[Likeliest] = field(default_factory=list)
    """At each of them; empty where they were not asked for. The first is the one that was written."""


def likeliest_tokens(logits: torch.Tensor, count: int) -> list[Likeliest]:
    """The `count` most likely tokens at each row of logits [rows, vocabulary], by the float32 log-softmax.

    The first is the argmax of the row, also where others are as likely.
    """
    logits = logits.float()
    best = logits.argmax(dim=-1, keepdim=True)
    values, tokens = logits.topk(min(count, logits.shape[-1]), dim=-1)
    logprobs = values - logits.logsumexp(dim=-1, keepdim=True)
    rows = zip(best[:, 0].tolist(), tokens.tolist(), logprobs.tolist(), strict=True)
    return [_led_by(first, list(zip(some, values, strict=True))) for first, some, values in rows]


def _led_by(first: int, found: Likeliest) -> Likeliest:
    """Tokens are told apart where they are equally likely: the one that is written comes first."""
    if found[0][0] == first:
        return found
    return [(first, found[0][1]), *(pair for pair in found if pair[0] != first)][: len(found)]


class _Answer:
    """A prompt in a place, and what the model has added to it."""

    def __init__(self, number: int, prompt: Prompt, shared: SharedPrefix) -> None:
        """`number` is that of the prompt in the caller's list."""
        self.number, self.prompt, self.shared = number, prompt, shared
        self.written = Written()
        self.ended = False
        self._tokens = list(prompt.tokens)
        self._after: dict[tuple[int, ...], int] = {}
        """Three tokens → where the text went on after them, the last time."""
        self._noted = LOOKUP
        self._ahead = 1
        """Tokens to read ahead: doubled when all were right, one when not."""

    @property
    def new(self) -> list[int]:
        """The tokens of the answer."""
        return self.written.tokens

    @property
    def position(self) -> int:
        """Of the token that is read next: the prompt's last one, then those of the answer."""
        return len(self._tokens) - 1

    def to_read(self, most: int) -> list[int]:
        """The last token and, up to `most` in all, those that may follow it."""
        tokens, ahead = self._tokens, min(self._ahead, most - 1, self.prompt.most - len(self.new) - 1)
        for end in range(self._noted, len(tokens)):
            self._after[tuple(tokens[end - LOOKUP : end])] = end
        self._noted = max(self._noted, len(tokens))
        at = self._after.get(tuple(tokens[-LOOKUP:]))
        if at is None:
            return tokens[-1:]
        # a loop shorter than what is read ahead goes round again
        return tokens[-1:] + (tokens[at:] * (1 + ahead // (len(tokens) - at)))[:ahead]

    def add(self, read: list[int], best: list[int], likeliest: Sequence[Likeliest]) -> None:
        """Take the most likely tokens after each token that was read, up to the first wrong guess.

        Args:
            likeliest: beside each of them; empty where these are not wanted.
        """
        for n, (guess, token) in enumerate(zip([*read[1:], None], best, strict=True)):
            self.new.append(token)
            self.written.likeliest += likeliest[n : n + 1]
            self._tokens.append(token)
            self.ended = len(self.new) >= self.prompt.most or self.prompt.ends(self.new)
            if self.ended or guess != token:
                break
        if len(read) > 1:
            self._ahead = 2 * len(read[1:]) if guess is None else 1


def answer_greedily(
    model: Any,
    prompts: Sequence[Prompt],
    places: int,
    budget: Budget,
    workers: Workers,
    progress: Callable[[int], None] = lambda tokens: None,
    lowered: Callable[[int], None] = lambda places: None,
    likeliest: int = 0,
) -> Iterator[tuple[int, Written]]:
    """(number of a prompt, its new tokens), as the answers end; in half as many places after an out-of-memory.

    Args:
        places: prompts answered side by side.
        budget: tokens of a forward pass that reads prompts.
        progress: told the new tokens of the answers that have not ended, after each pass.
        lowered: told each lower number of places.
        likeliest: so many tokens are noted at each step, with their log-probabilities.
    """
    left = dict(enumerate(prompts))
    while left:
        numbers, places = list(left), min(places, len(left))
        try:
            run = _Run(model, list(left.values()), places, budget, workers, likeliest)
            for place, new in run.answers(progress):
                del left[numbers[place]]
                yield numbers[place], new
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or places == 1:
                raise
            release_memory(error)
            places = power_of_two(places - 1)
            lowered(places)


class _Run:
    """Prompts answered in so many places: the state between two passes."""

    def __init__(
        self, model: Any, prompts: Sequence[Prompt], places: int, budget: Budget, workers: Workers, likeliest: int
    ) -> None:
        self.model, self.budget, self.workers, self.likeliest = model, budget, workers, likeliest
        self.prompts, self.count = prompts, places
        self.active: list[_Answer] = []
        self.store = PrefixStore()
        # all but the last token of each, which the first step of its answer reads
        read = {number: one.tokens[:-1] for number, one in enumerate(prompts) if len(one.tokens) > 1}
        self.plan = make_plan(unique_sequences([(tokens, (0,)) for tokens in read.values()], 1 << 30), block_tokens=0)
        numbers = list(read)
        self.block = {numbers[scored.request]: scored.block for scored in self.plan.scored}
        longest = max((len(one.tokens) for one in prompts), default=0)

        def order(number: int) -> tuple[int, int]:
            """Prompts of like length together, the longest first, and among them those of one beginning."""
            return (longest // len(prompts[number].tokens)).bit_length(), self.block.get(number, 0)

        self.waiting = sorted(range(len(prompts)), key=order)
        users = Counter(n for block in self.block.values() for n in with_prefixes(self.plan.blocks, block)[:-1])
        self.shared = {number: self._most_shared(block, users) for number, block in self.block.items()}
        own = [len(one.tokens) + one.most - self._shared(number).length for number, one in enumerate(prompts)]
        self.places = Places(places, max(own, default=0))

    def _shared(self, number: int) -> SharedPrefix:
        return self.shared.get(number, SharedPrefix())

    def _most_shared(self, block: int, users: Mapping[int, int]) -> SharedPrefix:
        """Of what comes before a block, the part whose sharing saves most keys and values while its users answer."""
        ends = {
            n: self.plan.blocks[n].depth + len(self.plan.blocks[n])
            for n in with_prefixes(self.plan.blocks, block)[:-1]
        }
        saved = {n: end * (min(users[n], self.count) - 1) for n, end in ends.items()}
        best = max(saved, key=lambda n: saved[n], default=None)
        prompt = self.plan.blocks[block].depth + len(self.plan.blocks[block])
        if best is None or saved[best] < LEAST_SAVED * prompt * self.count:
            return SharedPrefix()
        return SharedPrefix(best, ends[best])

    def answers(self, progress: Callable[[int], None]) -> Iterator[tuple[int, Written]]:
        with packed_model(self.model), split_model(self.model):
            while self.active or self.waiting:
                self.refill()
                self.add_tokens()
                yield from self.take_ended()
                progress(sum(len(answer.new) for answer in self.active))

    def refill(self) -> None:
        """Give free places to the next prompts, once there are enough of them."""
        free = self.count - len(self.active)
        if not self.waiting or free * REFILL < self.count:
            return
        taken, self.waiting = self.waiting[:free], self.waiting[free:]
        self._read([self.block[number] for number in taken if number in self.block])
        for number in taken:
            if number in self.block:
                self._fill(len(self.active), self.block[number], self._shared(number))
            self.active.append(_Answer(number, self.prompts[number], self._shared(number)))
        following = self.block.get(self.waiting[0]) if self.waiting else None
        needed = {answer.shared.block for answer in self.active if answer.shared.block is not None}
        self.store.keep_only(needed | set([] if following is None else with_prefixes(self.plan.blocks, following)))

    def _fill(self, place: int, number: int, shared: SharedPrefix) -> None:
        """Take over what a place does not share: the block, and what comes between it and the shared beginning."""
        block = self.plan.blocks[number]
        if block.keep:  # stored with all that comes before it
            self.places.fill(place, 0, self.store.layers(number), first=shared.length)
            return
        if block.prefix is not None and block.depth > shared.length:
            self.places.fill(place, 0, self.store.layers(block.prefix), first=shared.length)
        self.places.fill(place, block.depth - shared.length, self.store.layers(number))

    def _read(self, blocks: list[int]) -> None:
        """Compute the keys and values of blocks, and of what comes before them where it is not kept."""
        missing = dict.fromkeys(
            n for block in blocks for n in with_prefixes(self.plan.blocks, block) if n not in self.store
        )
        shared = [n for n in missing if self.plan.blocks[n].keep]
        own = [n for n in missing if not self.plan.blocks[n].keep]
        run_jobs(self._read_row, self._rows(shared), Workers.one())  # in order: one may be read on top of another
        run_jobs(self._read_row, self._rows(own), self.workers)

    def _rows(self, blocks: list[int]) -> list[list[int]]:
        """Blocks in rows of at most the budget's tokens, and of a worker's share."""
        share = sum(len(self.plan.blocks[n]) for n in blocks) / self.workers.count
        rows: list[list[int]] = []
        room = 0.0
        for number in blocks:
            size = len(self.plan.blocks[number])
            if size > room:
                rows.append([])
                room = min(self.budget.tokens, share)
            rows[-1].append(number)
            room -= size
        return rows

    def _read_row(self, numbers: list[int]) -> None:
        row = make_row(self.plan.blocks, numbers, self.model.device, keep_all=True)
        with serving(attend_row(row, self.store)):
            hidden_states(self.model, row.tokens, row.positions)

    def add_tokens(self) -> None:
        """One forward pass."""
        most = max(1, PASS_TOKENS // len(self.active))
        read = [answer.to_read(most) for answer in self.active]
        lengths = [len(tokens) for tokens in read]
        device = self.model.device
        shared = [answer.shared for answer in self.active]
        step = Step(self.places, self.store, [answer.position for answer in self.active], lengths, shared, device)
        tokens = torch.tensor([[token for some in read for token in some]], device=device)
        with torch.no_grad(), serving(step.attend):
            hidden = hidden_states(self.model, tokens, step.positions.unsqueeze(0))[0]
            logits = logits_of(self.model, hidden).float()
            likeliest = likeliest_tokens(logits, self.likeliest) if self.likeliest else []
            best = [first[0][0] for first in likeliest] or logits.argmax(dim=-1).tolist()
        at = 0
        for answer, some in zip(self.active, read, strict=True):
            here = slice(at, at := at + len(some))
            answer.add(some, best[here], likeliest[here])

    def take_ended(self) -> Iterator[tuple[int, Written]]:
        """Answers that have ended; the last ones move into their places."""
        for place in reversed(range(len(self.active))):
            answer = self.active[place]
            if not answer.ended:
                continue
            last = self.active.pop()
            if last is not answer:
                self.active[place] = last
                self.places.move(len(self.active), place, last.position - last.shared.length)
            yield answer.number, answer.written
