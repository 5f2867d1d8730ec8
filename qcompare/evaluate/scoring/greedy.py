"""Greedy answers to many prompts, side by side in places that are refilled: continuous batching, as in vLLM.

A beginning that several prompts share (few-shot examples) is computed and kept once, and all of them attend to it in
one matrix product (as in Hydragen, https://arxiv.org/abs/2402.05099, and vLLM's cascade attention). The prompts, but
for their last tokens, are read in packed rows; each then has a place in ``Places``, which holds the keys and values
of what it does not share, and every forward pass adds to every answer. An answer that ends leaves its place to the
next prompt.

A pass reads a few more tokens where a text seems to repeat itself: what came after the same three tokens before
(prompt lookup decoding, https://github.com/apoorvumang/prompt-lookup-decoding). Of these it keeps those that are the
model's own choice, so the text is the one that a prompt gets alone, up to rounding between equally likely tokens.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from qcompare.evaluate.row_budget import power_of_two

from .attention import How, KeysValues, PrefixStore, attend_row, packed_model, serving
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


@dataclass(frozen=True)
class _Shared:
    """The beginning of a prompt that others share, and that no place holds."""

    block: int | None = None
    """Number of the kept block that ends it."""
    length: int = 0


class _Answer:
    """A prompt in a place, and what the model has added to it."""

    def __init__(self, number: int, prompt: Prompt, shared: "_Shared") -> None:
        """`number` is that of the prompt in the caller's list."""
        self.number, self.prompt, self.shared = number, prompt, shared
        self.new: list[int] = []
        self.ended = False
        self._tokens = list(prompt.tokens)
        self._after: dict[tuple[int, ...], int] = {}
        """Three tokens → where the text went on after them, the last time."""
        self._noted = LOOKUP
        self._ahead = 1
        """Tokens to read ahead: doubled when all were right, one when not."""

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

    def add(self, read: list[int], best: list[int]) -> None:
        """Take the most likely tokens after each token that was read, up to the first wrong guess."""
        for guess, token in zip([*read[1:], None], best, strict=True):
            self.new.append(token)
            self._tokens.append(token)
            self.ended = len(self.new) >= self.prompt.most or self.prompt.ends(self.new)
            if self.ended or guess != token:
                break
        if len(read) > 1:
            self._ahead = 2 * len(read[1:]) if guess is None else 1


class Places:
    """Keys and values of the prompts being answered, without what they share, [places, kv heads, capacity, head size]
    per layer."""

    def __init__(self, count: int, capacity: int) -> None:
        self._shape = count, capacity
        self._held: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def fill(self, place: int, slot: int, layers: Mapping[int, KeysValues], first: int = 0) -> None:
        """Put the tokens from `first` on, of keys and values by layer, at a slot and those behind it."""
        for layer, parts in layers.items():
            for mine, part in zip(self.layer(layer, *parts), parts, strict=True):
                mine[place, :, slot : slot + part.shape[1] - first] = part[:, first:]

    def move(self, source: int, target: int, length: int) -> None:
        for parts in self._held.values():
            for part in parts:
                part[target, :, :length] = part[source, :, :length]

    def layer(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> KeysValues:
        """Keys and values of a layer, made at first use for such as these, [kv heads, tokens, head size]."""
        if layer not in self._held:
            count, capacity = self._shape
            made = [part.new_zeros(count, part.shape[0], capacity, part.shape[-1]) for part in (key, value)]
            self._held[layer] = made[0], made[1]
        return self._held[layer]


@dataclass
class _Family:
    """Answers of a pass whose prompts share the same beginning, or share none."""

    shared: _Shared
    places: torch.Tensor
    slots: torch.Tensor
    """[places, longest]: where the tokens that are read stand behind what is shared."""
    width: int
    """Slots that are looked at."""
    masks: dict[tuple[int | None, int, bool], torch.Tensor] = field(default_factory=dict)

    def mask(self, window: int | None, groups: int, early: bool) -> torch.Tensor:
        """Which keys are seen, bool [places, 1, longest * groups, keys]; used in every layer with that window.

        Args:
            early: keys of the shared beginning, not of the places.
        """
        if (window, groups, early) not in self.masks:
            keys = range(-self.shared.length, 0) if early else range(self.width)
            behind = self.slots[..., None] - torch.arange(keys.start, keys.stop, device=self.slots.device)
            seen = behind >= 0 if window is None else (behind >= 0) & (behind < window)
            self.masks[window, groups, early] = seen.repeat_interleave(groups, dim=1)[:, None]
        return self.masks[window, groups, early]

    def attend(
        self, q: torch.Tensor, own: KeysValues, shared: KeysValues | None, groups: int, how: How
    ) -> torch.Tensor:
        """Query and output [places, kv heads, longest * groups, size]; keys and values [places, kv heads, width, size],
        those of the shared beginning [kv heads, tokens, size]."""
        mask = self.mask(how.window, groups, early=False)
        if shared is None and how.softcap is None:
            return F.scaled_dot_product_attention(q, *own, attn_mask=mask, scale=how.scale)
        scores = how.capped((q * how.scale) @ own[0].transpose(-1, -2)).masked_fill_(~mask, -torch.inf)
        if shared is None:
            return torch.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype) @ own[1]
        # the queries of all places are the rows of one product
        early = _by_head(q * how.scale) @ shared[0].transpose(-1, -2)
        early = how.capped(early).unflatten(1, (len(q), -1)).transpose(0, 1)
        if how.window is not None:
            early = early.masked_fill(~self.mask(how.window, groups, early=True), -torch.inf)
        weights = torch.softmax(torch.cat([early, scores], dim=-1), dim=-1, dtype=torch.float32).to(q.dtype)
        before, after = weights.split([shared[0].shape[1], self.width], dim=-1)
        return (_by_head(before) @ shared[1]).unflatten(1, (len(q), -1)).transpose(0, 1) + after @ own[1]


def _by_head(x: torch.Tensor) -> torch.Tensor:
    """[places, heads, n, size] → [heads, places * n, size]."""
    return x.transpose(0, 1).flatten(1, 2)


class _Step:
    """One forward pass over the next tokens of each answer, in places 0, 1, …"""

    def __init__(
        self,
        places: Places,
        store: PrefixStore,
        first: Sequence[int],
        lengths: Sequence[int],
        shared: Sequence[_Shared],
        device: torch.device,
    ) -> None:
        """
        Args:
            store: holds what is shared.
            first: position of each answer's first token in this pass.
            lengths: how many tokens each reads.
            shared: the beginning of each.
        """
        self._places, self._store, self._count, self._longest = places, store, len(lengths), max(lengths)
        steps = torch.arange(self._longest)
        real = steps < torch.tensor(lengths)[:, None]
        offset = torch.tensor([one.length for one in shared])[:, None]
        slots = torch.where(real, steps, 0) + torch.tensor(first)[:, None] - offset
        """[places, longest]; that of padding repeats the first."""
        flat = real.flatten().nonzero()[:, 0]
        index = torch.zeros_like(slots)
        index[real] = torch.arange(len(flat))
        self._index = torch.where(real, index, index[:, :1]).flatten().to(device)
        self._flat = flat.to(device)
        self._rows = (flat // self._longest).to(device)
        self._slots = slots[real].to(device)
        self.positions = (slots + offset)[real].to(device)
        self._families = [_family(one, shared, slots, device) for one in dict.fromkeys(shared)]
        self._copies: dict[torch.device, _Step] = {}

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
        held = self._places.layer(layer, key[0], value[0])
        for mine, part in zip(held, (key, value), strict=True):
            mine[self._rows, :, self._slots] = part[0].transpose(0, 1)
        # query heads that share keys stand one after the other, as if they were several tokens: no key is copied
        q = query[0].transpose(0, 1).index_select(0, self._index)
        q = q.view(self._count, self._longest, heads, groups, -1).transpose(1, 2).flatten(2, 3)
        if len(self._families) == 1:
            (family,) = self._families
            own = held[0][: self._count, :, : family.width], held[1][: self._count, :, : family.width]
            out = family.attend(q, own, self._shared(family, layer), groups, how)
        else:
            out = q.new_empty(*q.shape[:-1], value.shape[-1])
            for family in self._families:
                own = held[0][family.places, :, : family.width], held[1][family.places, :, : family.width]
                out[family.places] = family.attend(q[family.places], own, self._shared(family, layer), groups, how)
        out = out.unflatten(2, (self._longest, groups)).transpose(1, 2).flatten(0, 1).flatten(1, 2)
        return out.index_select(0, self._flat).unsqueeze(0)

    def _shared(self, family: _Family, layer: int) -> KeysValues | None:
        return None if family.shared.block is None else self._store.get(family.shared.block, layer)


def _family(one: _Shared, shared: Sequence[_Shared], slots: torch.Tensor, device: torch.device) -> _Family:
    places = torch.tensor([place for place, other in enumerate(shared) if other == one])
    own = slots[places]
    width = -(-(int(own.max()) + 1) // ROUND_TO) * ROUND_TO
    return _Family(one, places.to(device), own.to(device), width)


def answer_greedily(
    model: Any,
    prompts: Sequence[Prompt],
    places: int,
    budget: Budget,
    workers: Workers,
    progress: Callable[[int], None] = lambda tokens: None,
    lowered: Callable[[int], None] = lambda places: None,
) -> Iterator[tuple[int, list[int]]]:
    """(number of a prompt, its new tokens), as the answers end; in half as many places after an out-of-memory.

    Args:
        places: prompts answered side by side.
        budget: tokens of a forward pass that reads prompts.
        progress: told the new tokens of the answers that have not ended, after each pass.
        lowered: told each lower number of places.
    """
    left = dict(enumerate(prompts))
    while left:
        numbers, places = list(left), min(places, len(left))
        try:
            for place, new in _Run(model, list(left.values()), places, budget, workers).answers(progress):
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

    def __init__(self, model: Any, prompts: Sequence[Prompt], places: int, budget: Budget, workers: Workers) -> None:
        self.model, self.budget, self.workers = model, budget, workers
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
        users = Counter(n for block in self.block.values() for n in self._prefixes(block)[:-1])
        self.shared = {number: self._most_shared(block, users) for number, block in self.block.items()}
        capacity = max(
            (len(one.tokens) + one.most - self._shared(number).length for number, one in enumerate(prompts)),
            default=0,
        )
        self.places = Places(places, -(-capacity // ROUND_TO) * ROUND_TO)

    def _shared(self, number: int) -> _Shared:
        return self.shared.get(number, _Shared())

    def _most_shared(self, block: int, users: Mapping[int, int]) -> _Shared:
        """Of what comes before a block, the part whose sharing saves most keys and values while its users answer."""
        found = [_Shared(n, self.plan.blocks[n].depth + len(self.plan.blocks[n])) for n in self._prefixes(block)[:-1]]
        return max(
            found, key=lambda one: one.length * (min(users[one.block or 0], self.count) - 1), default=_Shared()
        )

    def answers(self, progress: Callable[[int], None]) -> Iterator[tuple[int, list[int]]]:
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
        self.store.keep_only(needed | set([] if following is None else self._prefixes(following)))

    def _fill(self, place: int, number: int, shared: _Shared) -> None:
        """Take over what a place does not share: the block, and what comes between it and the shared beginning."""
        block = self.plan.blocks[number]
        if block.keep:  # stored with all that comes before it
            self.places.fill(place, 0, self.store.layers(number), first=shared.length)
            return
        if block.prefix is not None and block.depth > shared.length:
            self.places.fill(place, 0, self.store.layers(block.prefix), first=shared.length)
        self.places.fill(place, block.depth - shared.length, self.store.layers(number))

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
        shared = [answer.shared for answer in self.active]
        step = _Step(self.places, self.store, [answer.position for answer in self.active], lengths, shared, device)
        tokens = torch.tensor([[token for some in read for token in some]], device=device)
        with torch.no_grad(), serving(step.attend):
            hidden = hidden_states(self.model, tokens, step.positions.unsqueeze(0))[0]
            best = logits_of(self.model, hidden).float().argmax(dim=-1)
        for answer, some, found in zip(self.active, read, best.cpu().split(lengths), strict=True):
            answer.add(some, found.tolist())

    def take_ended(self) -> Iterator[tuple[int, list[int]]]:
        """Answers that have ended; the last ones move into their places."""
        for place in reversed(range(len(self.active))):
            answer = self.active[place]
            if not answer.ended:
                continue
            last = self.active.pop()
            if last is not answer:
                self.active[place] = last
                self.places.move(len(self.active), place, last.position - last.shared.length)
            yield answer.number, answer.new
