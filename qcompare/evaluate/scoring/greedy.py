"""Greedy answers to many prompts, side by side in places that are refilled: continuous batching, as in vLLM.

A beginning that several prompts share (few-shot examples) is computed once. The prompts, but for their last tokens,
are read in packed rows; each then has a place in ``Places``, which holds its keys and values, and every forward pass
adds to every answer. An answer that ends leaves its place to the next prompt.

A pass reads a few more tokens where a text seems to repeat itself: what came after the same three tokens before
(prompt lookup decoding, https://github.com/apoorvumang/prompt-lookup-decoding). Of these it keeps those that are the
model's own choice, so the text is the one that a prompt gets alone, up to rounding between equally likely tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from qcompare.evaluate.row_budget import power_of_two

from .attention import How, PrefixStore, attend_row, packed_model, serving
from .head import hidden_states, logits_of, split_model
from .memory import Budget, is_out_of_memory, release_memory
from .plan import make_plan
from .rows import make_row
from .sequences import Tokens, unique_sequences
from .shards import moved
from .threads import Workers, run_jobs

ROUND_TO = 64
"""Keys and values are read up to a multiple of this many tokens: kernels that plan per shape see few shapes."""
REFILL = 8
"""One in this many places must be free before prompts are read: several together are faster than one by one."""
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

    def __init__(self, number: int, prompt: Prompt) -> None:
        """`number` is that of the prompt in the caller's list."""
        self.number, self.prompt = number, prompt
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


class Places:
    """Keys and values of the prompts being answered, [places, kv heads, capacity, head size] per layer."""

    def __init__(self, count: int, capacity: int) -> None:
        self._shape = count, capacity
        self._held: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def fill(self, place: int, store: PrefixStore, block: int, length: int) -> None:
        """Take over the first `length` tokens of a block and what comes before it, in all layers."""
        for layer, parts in store.layers(block).items():
            for mine, part in zip(self.layer(layer, *parts), parts, strict=True):
                mine[place, :, :length] = part[:, :length]

    def move(self, source: int, target: int, length: int) -> None:
        for parts in self._held.values():
            for part in parts:
                part[target, :, :length] = part[source, :, :length]

    def layer(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of a layer, made at first use for such as these, [kv heads, tokens, head size]."""
        if layer not in self._held:
            count, capacity = self._shape
            made = [part.new_zeros(count, part.shape[0], capacity, part.shape[-1]) for part in (key, value)]
            self._held[layer] = made[0], made[1]
        return self._held[layer]


class _Step:
    """One forward pass over the next tokens of each answer, in places 0, 1, …"""

    def __init__(self, places: Places, first: Sequence[int], lengths: Sequence[int], device: torch.device) -> None:
        """
        Args:
            first: position of each answer's first token in this pass.
            lengths: how many tokens each reads.
        """
        self._places, self._count, self._longest = places, len(lengths), max(lengths)
        steps = torch.arange(self._longest)
        real = steps < torch.tensor(lengths)[:, None]
        slots = torch.where(real, torch.tensor(first)[:, None] + steps, torch.tensor(first)[:, None])
        """[places, longest]: positions; a padding slot repeats the first."""
        flat = real.flatten().nonzero()[:, 0]
        index = torch.zeros_like(slots)
        index[real] = torch.arange(len(flat))
        self._index = torch.where(real, index, index[:, :1]).flatten().to(device)
        self._flat = flat.to(device)
        self._rows = (flat // self._longest).to(device)
        self.positions = slots[real].to(device)
        self._slots = slots.to(device)
        self._width = -(-(int(slots.max()) + 1) // ROUND_TO) * ROUND_TO
        self._masks: dict[tuple[int | None, int], torch.Tensor] = {}
        self._copies: dict[torch.device, _Step] = {}

    def _mask(self, window: int | None, groups: int) -> torch.Tensor:
        """Bool [places, 1, longest * groups, tokens]; made once and used in every layer with that window."""
        if (window, groups) not in self._masks:
            behind = self._slots[..., None] - torch.arange(self._width, device=self._slots.device)
            seen = behind >= 0 if window is None else (behind >= 0) & (behind < window)
            self._masks[window, groups] = seen.repeat_interleave(groups, dim=1)[:, None]
        return self._masks[window, groups]

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, how: How
    ) -> torch.Tensor:
        """Query [1, heads, tokens, size] → output [1, tokens, heads, size]."""
        step = self
        if query.device != self._slots.device:  # a layer on another device
            step = self._copies.get(query.device) or moved(self, query.device, top=True)
            self._copies[query.device] = step
        return step._attend(layer, query, key, value, how)

    def _attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, how: How
    ) -> torch.Tensor:
        heads, groups = key.shape[1], query.shape[1] // key.shape[1]
        keys, values = self._places.layer(layer, key[0], value[0])
        keys[self._rows, :, self.positions] = key[0].transpose(0, 1)
        values[self._rows, :, self.positions] = value[0].transpose(0, 1)
        k, v = keys[: self._count, :, : self._width], values[: self._count, :, : self._width]
        # query heads that share keys stand one after the other, as if they were several tokens: no key is copied
        q = query[0].transpose(0, 1).index_select(0, self._index)
        q = q.view(self._count, self._longest, heads, groups, -1).transpose(1, 2).flatten(2, 3)
        mask = self._mask(how.window, groups)
        if how.softcap is None:
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=how.scale)
        else:
            scores = how.capped((q * how.scale) @ k.transpose(-1, -2)).masked_fill_(~mask, -torch.inf)
            out = torch.softmax(scores, dim=-1, dtype=torch.float32).to(v.dtype) @ v
        out = out.unflatten(2, (self._longest, groups)).transpose(1, 2).flatten(0, 1).flatten(1, 2)
        return out.index_select(0, self._flat).unsqueeze(0)


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
        capacity = max((len(one.tokens) + one.most for one in prompts), default=0)
        self.places = Places(places, -(-capacity // ROUND_TO) * ROUND_TO)

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
                length = len(self.prompts[number].tokens) - 1
                self.places.fill(len(self.active), self.store, self.block[number], length)
            self.active.append(_Answer(number, self.prompts[number]))
        following = self.block.get(self.waiting[0]) if self.waiting else None
        self.store.keep_only([] if following is None else self._prefixes(following))

    def _prefixes(self, block: int) -> list[int]:
        """The block and what comes before it, the first part first."""
        found = [block]
        while (prefix := self.plan.blocks[found[0]].prefix) is not None:
            found.insert(0, prefix)
        return found

    def _read(self, blocks: list[int]) -> None:
        """Compute the keys and values of blocks, and of what comes before them where it is not kept."""
        missing = dict.fromkeys(n for block in blocks for n in self._prefixes(block) if n not in self.store)
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
        step = _Step(self.places, [answer.position for answer in self.active], lengths, device)
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
                self.places.move(len(self.active), place, last.position)
            yield answer.number, answer.written
