"""Keys and values of answers that are written side by side, and how their next tokens attend to them.

What several answers share (few-shot examples) is kept once, and all of them attend to it in one matrix product, as in
Hydragen (https://arxiv.org/abs/2402.05099) and vLLM's cascade attention; what they do not share has a place each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from .attention import How, PrefixStore
from .shards import moved
from .whole_rows import KeysValues

ROUND_TO = 64
"""Keys and values are read up to a multiple of this many tokens: kernels that plan per shape see few shapes."""


@dataclass(frozen=True)
class SharedPrefix:
    """The beginning of a prompt that others share, and that no place holds."""

    block: int | None = None
    """Number of the kept block that ends it."""
    length: int = 0


class Places:
    """Keys and values of the prompts being answered, without what they share, [places, kv heads, capacity, head size]
    per layer."""

    def __init__(self, count: int, capacity: int) -> None:
        """`capacity` is the tokens of the longest; it is rounded up."""
        self._shape = count, -(-capacity // ROUND_TO) * ROUND_TO
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
class PrefixGroup:
    """Answers of a pass whose prompts share the same beginning, or share none."""

    shared: SharedPrefix
    places: torch.Tensor | slice
    """A slice where they are neighbours, so that their keys and values are not copied."""
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
        """Query [places, kv heads, longest * groups, size] → output of the same shape.

        Args:
            own: keys and values [places, kv heads, width, size].
            shared: those of the shared beginning, [kv heads, tokens, size].
            groups: query heads to a key head.
        """
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


class Step:
    """One forward pass over the next tokens of each answer, in places 0, 1, …"""

    def __init__(
        self,
        places: Places,
        store: PrefixStore,
        first: Sequence[int],
        lengths: Sequence[int],
        shared: Sequence[SharedPrefix],
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
        self._groups = [_prefix_group(one, shared, slots, device) for one in dict.fromkeys(shared)]
        self._copies: dict[torch.device, Step] = {}

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
        out = q.new_empty(*q.shape[:-1], value.shape[-1])
        for group in self._groups:
            own = held[0][group.places, :, : group.width], held[1][group.places, :, : group.width]
            out[group.places] = group.attend(q[group.places], own, self._shared(group, layer), groups, how)
        out = out.unflatten(2, (self._longest, groups)).transpose(1, 2).flatten(0, 1).flatten(1, 2)
        return out.index_select(0, self._flat).unsqueeze(0)

    def _shared(self, group: PrefixGroup, layer: int) -> KeysValues | None:
        return None if group.shared.block is None else self._store.get(group.shared.block, layer)


def _prefix_group(
    one: SharedPrefix, shared: Sequence[SharedPrefix], slots: torch.Tensor, device: torch.device
) -> PrefixGroup:
    places = torch.tensor([place for place, other in enumerate(shared) if other == one])
    own = slots[places]
    width = -(-(int(own.max()) + 1) // ROUND_TO) * ROUND_TO
    first, last = int(places[0]), int(places[-1])
    neighbours = last - first + 1 == len(places)
    return PrefixGroup(one, slice(first, last + 1) if neighbours else places.to(device), own.to(device), width)
