"""One forward pass: blocks side by side in one row without padding, and how attention sees them.

Linear layers run on the flat row. Attention runs on **buckets**: blocks of similar length under the same prefix,
gathered into a padded batch with a tree mask each. A long unbranched block is a bucket of its own and needs no
mask. On a GPU, where a bucket is a dozen small kernels in every layer, it runs on the whole row (`whole_rows`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from .memory import on_device
from .plan import Block

PADDED_SHARE = 1.25
"""A bucket may gather at most this many slots per token."""
CAUSAL_TOKENS = 256
"""From this length on, an unbranched block without prefix uses the causal kernel instead of a mask."""


@dataclass
class Bucket:
    """Blocks attended to in one batch of shape [blocks, length], the shorter ones padded at the end."""

    index: torch.Tensor
    """Flat row index of each slot, [blocks * length]; a padding slot repeats its block's first token."""
    blocks: int
    length: int
    prefix: int | None
    depth: int
    """Tokens in the prefix."""
    causal: bool
    """One unbranched block without prefix: causal attention, no mask."""
    allowed: torch.Tensor
    """Own-part mask, bool [blocks, length, length]; a padding slot sees its block's first token. Empty if causal."""
    positions: torch.Tensor
    """Position of each slot, [blocks, length]."""
    _bias: dict[tuple[int | None, int], torch.Tensor] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        return self.blocks, self.length

    @cached_property
    def reach(self) -> int:
        """Positions up to the last one: a window at least this wide does not matter."""
        return int(self.positions.max()) + 1

    def mask(self, window: int | None) -> torch.Tensor:
        """Bool [blocks, length, depth + length]: prefix and own part, under a sliding window if it matters."""
        allowed = self.allowed
        if self.causal:
            allowed = torch.ones(1, self.length, self.length, dtype=torch.bool, device=self.index.device).tril()
        before = torch.ones(self.blocks, self.length, self.depth, dtype=torch.bool, device=allowed.device)
        allowed = torch.cat([before, allowed], dim=-1)
        if window is None or window >= self.reach:
            return allowed
        prefix = torch.arange(self.depth, device=allowed.device).expand(self.blocks, -1)
        keys = torch.cat([prefix, self.positions], dim=-1)
        return allowed & (self.positions[:, :, None] - keys[:, None, :] < window)

    def bias(self, window: int | None, groups: int) -> torch.Tensor:
        """Additive mask [blocks, groups * length, keys]; keys are the own part only, unless a window matters.

        Made once and used in every layer with that window.
        """
        effective = window if window is not None and window < self.reach else None
        if (effective, groups) not in self._bias:
            allowed = self.mask(effective)
            if effective is None:
                allowed = allowed[..., self.depth :]
            bias = torch.zeros(allowed.shape, device=allowed.device).masked_fill_(~allowed, -torch.inf)
            self._bias[effective, groups] = bias.repeat(1, groups, 1)
        return self._bias[effective, groups]


@dataclass
class Row:
    """One forward pass over ``numbers`` (indices of blocks in the plan)."""

    blocks: list[Block]
    """Those of the plan."""
    numbers: list[int]
    tokens: torch.Tensor
    """[1, tokens]"""
    positions: torch.Tensor
    """[1, tokens]"""
    kept: list[tuple[int, int | None, int, int]]
    """(block, its prefix, first, end) of the blocks whose keys and values later users need."""
    starts: dict[int, int]
    """Block → its first token in the row."""


@dataclass
class Buckets:
    """A row's blocks, gathered for attention."""

    buckets: list[Bucket]
    inverse: torch.Tensor
    """Where each token of the row stands in the buckets' outputs, one after the other; [tokens]"""


def make_row(blocks: list[Block], numbers: list[int], device: torch.device, keep_all: bool = False) -> Row:
    """Lay out the blocks ``numbers`` of a plan as one row on ``device``.

    Args:
        keep_all: keep the keys and values of blocks that no other needs too, without those of what comes before them.
    """
    starts, total = {}, 0
    for number in numbers:
        starts[number] = total
        total += len(blocks[number])
    chosen = [blocks[number] for number in numbers]
    return Row(
        blocks=blocks,
        numbers=numbers,
        tokens=on_device([[token for block in chosen for token in block.tokens]], device),
        positions=on_device([[place for block in chosen for place in block.positions]], device),
        kept=[
            (n, blocks[n].prefix if blocks[n].keep else None, starts[n], starts[n] + len(blocks[n]))
            for n in numbers
            if keep_all or blocks[n].keep
        ],
        starts=starts,
    )


def make_buckets(row: Row) -> Buckets:
    """Gather a row's blocks into buckets, on the row's device."""
    buckets, slots, offset = [], np.empty(row.tokens.shape[1], dtype=np.int64), 0
    for group in _bucket_groups(row.blocks, row.numbers):
        bucket = _make_bucket(row.blocks, group, row.starts, row.tokens.device)
        for place, number in enumerate(group):
            start, size = row.starts[number], len(row.blocks[number])
            slots[start : start + size] = offset + place * bucket.length + np.arange(size)
        offset += bucket.blocks * bucket.length
        buckets.append(bucket)
    return Buckets(buckets, torch.from_numpy(slots).to(row.tokens.device))


def _is_causal(block: Block) -> bool:
    return block.prefix is None and block.chain and (block.keep or len(block) >= CAUSAL_TOKENS)


def _bucket_groups(blocks: list[Block], numbers: list[int]) -> Iterator[list[int]]:
    """Partition a row's blocks: same prefix, similar length; a long unbranched block alone."""
    families: dict[int | None, list[int]] = {}
    for number in numbers:
        if _is_causal(blocks[number]):
            yield [number]
        else:
            families.setdefault(blocks[number].prefix, []).append(number)
    for family in families.values():
        family.sort(key=lambda number: -len(blocks[number]))
        group: list[int] = []
        used = 0
        for number in family:
            used += len(blocks[number])
            if group and (len(group) + 1) * len(blocks[group[0]]) > PADDED_SHARE * used:
                yield group
                group, used = [], len(blocks[number])
            group.append(number)
        yield group


def _make_bucket(blocks: list[Block], group: list[int], starts: dict[int, int], device: torch.device) -> Bucket:
    length, first = len(blocks[group[0]]), blocks[group[0]]
    causal = len(group) == 1 and _is_causal(first)
    index = np.empty((len(group), length), dtype=np.int64)
    positions = np.empty((len(group), length), dtype=np.int64)
    allowed = np.zeros((0, 0, 0) if causal else (len(group), length, length), dtype=bool)
    for place, number in enumerate(group):
        block, size = blocks[number], len(blocks[number])
        index[place] = starts[number]
        index[place, :size] += np.arange(size)
        positions[place, :size] = block.positions
        positions[place, size:] = block.positions[0]
        if not causal:
            _tree_mask(block.parent, allowed[place])
            allowed[place, size:, 0] = True
    return Bucket(
        index=torch.from_numpy(index.reshape(-1)).to(device),
        blocks=len(group),
        length=length,
        prefix=first.prefix,
        depth=first.depth,
        causal=causal,
        allowed=torch.from_numpy(allowed).to(device),
        positions=torch.from_numpy(positions).to(device),
    )


def _tree_mask(parent: list[int], out: np.ndarray) -> None:
    """Mark, in ``out`` [slots, slots], each token's ancestors and itself."""
    for index, before in enumerate(parent):
        if before >= 0:
            out[index] = out[before]
        out[index, index] = True
