"""Attention of a whole packed row in one call: torch's ``flex_attention``, compiled, on CUDA devices.

A row's blocks stand in the order of the prefix tree, depth first, so the queries that see a key are one run: from the
key itself to the last token below it in the tree. A kept prefix of an earlier row comes before all others, and is
seen from the row's start to the last token below it. Who sees whom is thus one number a key, and which tiles of the
attention are empty, full or mixed follows from it on the CPU, without a mask of tokens × tokens.

Where ``flex_attention`` cannot be compiled, or scores differ in the model's trial (`modes`), rows are attended to in
buckets as on a CPU.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch

from qcompare.formats.compiling import can_compile

from .memory import is_out_of_memory, on_device
from .plan import Block, with_prefixes
from .rows import Row

KeysValues = tuple[torch.Tensor, torch.Tensor]
TILE = 128
"""Queries and keys of a tile of the attention, as the kernels cut it."""

_failed: dict[tuple[torch.device, int], str] = {}
"""(device, head size) → why the kernel is not used there."""


@dataclass(frozen=True)
class Visibility:
    """Which queries of a row see which keys; keys are those of a kept prefix, then the row's own."""

    prefix: int | None
    """The kept block of an earlier row whose keys (and its own prefixes') come first."""
    depth: int
    """How many they are."""
    last: np.ndarray
    """The last query that sees each key, int32 [depth + tokens]; the first is the key itself, or query 0."""
    positions: np.ndarray
    """Position of each key in its sequence, int32 [depth + tokens]."""

    @property
    def queries(self) -> int:
        return len(self.last) - self.depth

    def tiles(self, window: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Tiles that may hold a visible pair, and those where all pairs are visible; bool [query tiles, key tiles].

        Args:
            window: keys are seen by queries less than so many positions after them.
        """
        first_query, end_query, low_query, high_query = _tiles(self.positions[self.depth :])
        first_key, end_key, low_key, high_key = _tiles(self.positions)
        edges = np.arange(0, len(self.last), TILE)
        soonest, latest = np.minimum.reduceat(self.last, edges), np.maximum.reduceat(self.last, edges)
        some = (first_key <= end_query[:, None] - 1 + self.depth) & (first_query[:, None] <= latest)
        every = (end_key - 1 <= first_query[:, None] + self.depth) & (end_query[:, None] - 1 <= soonest)
        if window is not None:
            some &= low_query[:, None] - high_key < window
            every &= high_query[:, None] - low_key < window
        return some, some & every


def _tiles(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """First token, one past the last, and lowest and highest position of each tile."""
    first = np.arange(0, len(positions), TILE)
    end = np.minimum(first + TILE, len(positions))
    return first, end, np.minimum.reduceat(positions, first), np.maximum.reduceat(positions, first)


def visibility_of(row: Row) -> Visibility | None:
    """Who sees whom in a row; None where it is not one run a key: blocks of several kept prefixes side by side."""
    blocks, starts = row.blocks, row.starts
    size = {number: len(blocks[number]) for number in row.numbers}  # of a block and all below it in the row
    end = {number: starts[number] + len(blocks[number]) for number in row.numbers}
    for number in reversed(row.numbers):
        if (prefix := blocks[number].prefix) in starts:
            size[prefix] += size[number]
            end[prefix] = max(end[prefix], end[number])
    stored: dict[int, int] = {}  # block → how many tokens of kept prefixes it sees
    outside: set[int] = set()
    for number in row.numbers:
        prefix = blocks[number].prefix
        if prefix is not None and prefix not in starts:
            outside.add(prefix)
        stored[number] = stored[prefix] if prefix in starts else blocks[number].depth
    deepest = max(outside, key=lambda number: blocks[number].depth, default=None)
    chain = set() if deepest is None else set(with_prefixes(blocks, deepest))
    is_tree = all(starts[number] + size[number] == end[number] for number in row.numbers)
    depths = [stored[number] for number in row.numbers]
    if not is_tree or depths != sorted(depths, reverse=True) or not outside <= chain:
        return None
    depth = max(depths)
    seen = np.repeat(np.array(depths), [len(blocks[number]) for number in row.numbers])
    last = np.empty(depth + len(seen), dtype=np.int32)
    last[:depth] = len(seen) - 1 - np.searchsorted(seen[::-1], np.arange(depth), side="right")
    for number in row.numbers:
        here = slice(depth + starts[number], depth + starts[number] + len(blocks[number]))
        last[here] = end[number] - 1 if blocks[number].keep else starts[number] + _last_below(blocks[number])
    own = [np.array(blocks[number].positions, dtype=np.int32) for number in row.numbers]
    return Visibility(deepest, depth, last, np.concatenate([np.arange(depth, dtype=np.int32), *own]))


def _last_below(block: Block) -> np.ndarray:
    """The last token of a block that each of its tokens is an ancestor of, or the token itself."""
    last = list(range(len(block)))
    for index in range(len(block) - 1, -1, -1):
        if (parent := block.parent[index]) >= 0:
            last[parent] = max(last[parent], last[index])
    return np.array(last, dtype=np.int32)


@dataclass
class WholeRowAttention:
    """Attention of one row; its masks are made once for each device and window."""

    visibility: Visibility
    _masks: dict[tuple[torch.device, int | None], Any] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Row) -> "WholeRowAttention | None":
        """None where a key is not seen by one run of queries: buckets are used."""
        visibility = visibility_of(row)
        return cls(visibility) if visibility is not None else None

    @property
    def prefix(self) -> int | None:
        return self.visibility.prefix

    def __call__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        before: KeysValues | None,
        scale: float,
        window: int | None,
        softcap: float | None,
    ) -> torch.Tensor | None:
        """Output [1, tokens, heads, size] for a query [1, heads, tokens, size]; None where the kernel failed.

        Args:
            before: keys and values of the kept prefix, [kv heads, depth, size].
        """
        place = (query.device, query.shape[-1])
        if place in _failed:
            return None
        if before is not None:
            key, value = (torch.cat([kept[None], own], dim=2) for kept, own in zip(before, (key, value), strict=True))
        cap = None if softcap is None else lambda score, *_: torch.tanh(score / softcap) * softcap
        try:
            out = _kernel(query.device)(
                query, key, value, score_mod=cap, block_mask=self._mask(query.device, window), scale=scale,
                enable_gqa=query.shape[1] != key.shape[1],
            )  # fmt: skip
        except Exception as error:  # compilers raise what they like
            if is_out_of_memory(error):
                raise
            _failed[place] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            print(f"flex_attention is not used for heads of {query.shape[-1]}: {_failed[place]}")
            return None
        return out.transpose(1, 2)

    def _mask(self, device: torch.device, window: int | None) -> Any:
        if window is not None and window > int(self.visibility.positions.max()):
            window = None
        if (device, window) not in self._masks:
            self._masks[device, window] = block_mask(self.visibility, window, device)
        return self._masks[device, window]


def block_mask(visibility: Visibility, window: int | None, device: torch.device) -> Any:
    """What ``flex_attention`` reads: which tiles to compute, and in mixed ones which pairs."""
    from torch.nn.attention.flex_attention import BlockMask

    keys, depth = len(visibility.last), visibility.depth
    padding = TILE + -keys % TILE  # padded queries look up positions too
    last = on_device(np.pad(visibility.last, (0, padding), constant_values=-1), device)
    positions = on_device(np.pad(visibility.positions, (0, padding)), device)

    def visible(batch: Any, head: Any, query: Any, key: Any) -> Any:
        seen = (key <= query + depth) & (query <= last[key])
        return seen if window is None else seen & (positions[query + depth] - positions[key] < window)

    some, every = visibility.tiles(window)
    mixed, full = (_indices(tiles, device) for tiles in (some & ~every, every))
    return BlockMask.from_kv_blocks(
        *mixed,
        *full,
        BLOCK_SIZE=TILE,
        mask_mod=visible,
        seq_lengths=(visibility.queries, keys),
        compute_q_blocks=False,
    )


def _indices(tiles: np.ndarray, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Each row's number of marked tiles [1, 1, rows], and all columns, those first [1, 1, rows, columns]; int32."""
    order = np.argsort(~tiles, axis=1, kind="stable").astype(np.int32)
    return on_device(tiles.sum(1, dtype=np.int32)[None, None], device), on_device(order[None, None], device)


@cache
def _kernel(device: torch.device) -> Callable[..., torch.Tensor]:
    """``flex_attention``: compiled on CUDA; as it is elsewhere, which holds all scores and is for tests."""
    from torch.nn.attention.flex_attention import flex_attention

    kernel: Callable[..., torch.Tensor] = flex_attention
    return torch.compile(kernel, dynamic=True) if device.type == "cuda" else kernel


def failures() -> list[str]:
    """Where the kernel failed in this process, and why."""
    return [f"{device}, heads of {size}: {reason}" for (device, size), reason in _failed.items()]


def can_be_used(device: torch.device) -> bool:
    """Whether rows on a device may be attended to in one call: the kernel is compiled for CUDA."""
    return device.type == "cuda" and can_compile()
