"""Which tokens are computed once: sequences → blocks of a prefix tree.

Sorted sequences form a tree of common prefixes. It is cut into **blocks**: a block is a small subtree whose tokens
attend to their own ancestors in the block and to all of at most one **kept** prefix (a few-shot prompt, a long
context), itself a block computed earlier whose keys and values are kept until its last user. A question with its
answer options is one block; an mmlu subject's five examples are a kept prefix and its questions are blocks under
it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from .sequences import Sequence, Tokens

BLOCK_TOKENS = 320
"""A subtree is cut when it has more tokens than this: a block's attention is computed densely, tokens x tokens."""
PAIRS_PER_TOKEN = 1500
"""Attention scores that cost as much as one token in all linear layers (measured for 576 hidden; more for larger)."""
SAVED_TOKENS = 24
"""Tokens a kept prefix must save: below it, its bookkeeping in every layer costs more than computing them again."""
PREFIX_TOKENS = 6
"""Shortest kept prefix, for the same reason."""


@dataclass
class Block:
    """Tokens computed together. ``parent[i]`` is the index in the block of the token before token i, -1 for none."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    parent: list[int] = field(default_factory=list)
    prefix: int | None = None
    """Index of the kept block whose tokens (and that block's own prefix) come before this one."""
    depth: int = 0
    """Number of tokens before the block, all of them in ``prefix``."""
    keep: bool = False
    """Whether later blocks name this one as their prefix."""
    last_user: int = -1
    """Index of the last block that needs this one's keys and values, for a kept block."""

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def chain(self) -> bool:
        """One sequence without branches: plain causal attention."""
        return all(before == index - 1 for index, before in enumerate(self.parent))


@dataclass(frozen=True)
class Scored:
    """A prediction that is needed: ``target`` after token ``local`` of ``block``, for ``request``."""

    block: int
    local: int
    target: int
    request: int


@dataclass
class Plan:
    """Blocks in an order in which every prefix precedes its users, and every prediction that is needed."""

    blocks: list[Block]
    scored: list[Scored]

    @property
    def tokens(self) -> int:
        return sum(len(block) for block in self.blocks)


@dataclass(frozen=True)
class _Range:
    """Sequences [first, end) that share their first ``depth`` tokens, those held by block ``prefix``."""

    first: int
    end: int
    depth: int
    prefix: int | None


def make_plan(sequences: list[Sequence], block_tokens: int = BLOCK_TOKENS, saved_tokens: int = SAVED_TOKENS) -> Plan:
    """Cut the prefix tree of sorted, distinct sequences into blocks, the largest families first."""
    common = [0] + [_common(a.tokens, b.tokens) for a, b in pairwise(sequences)]
    plan = Plan([], [])
    pending = [_Range(0, len(sequences), 0, None)] if sequences else []
    while pending:
        here = pending.pop()
        if here.end - here.first == 1:
            _add_tree(plan, sequences, common, here)
            continue
        depth = min(common[here.first + 1 : here.end])
        parts = list(_split(common, here, depth))
        if _fits(sequences, common, here, parts, depth, block_tokens):
            _add_tree(plan, sequences, common, here)
            continue
        shared = depth - here.depth
        if shared >= min(PREFIX_TOKENS, saved_tokens) and shared * (len(parts) - 1) >= saved_tokens:
            prefix = _add_prefix(plan, sequences[here.first].tokens, here, depth)
            parts = [_Range(part.first, part.end, depth, prefix) for part in parts]
        parts.sort(key=lambda part: _size(sequences, common, part))  # popped from the end: the largest first
        pending.extend(parts)
    _note_last_users(plan)
    return plan


def _common(a: Tokens, b: Tokens) -> int:
    """Length of the common prefix, by bisection on slices (tuple comparison runs in C)."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _size(sequences: list[Sequence], common: list[int], part: _Range) -> int:
    """Tokens of the part's tree below its depth."""
    total = len(sequences[part.first].tokens) - part.depth
    for index in range(part.first + 1, part.end):
        total += len(sequences[index].tokens) - max(common[index], part.depth)
    return total


def _fits(
    sequences: list[Sequence], common: list[int], whole: _Range, parts: list[_Range], depth: int, block_tokens: int
) -> bool:
    """Whether a range is better as one block: it is small, and sharing saves more than the wider attention costs."""
    size = _size(sequences, common, whole)
    if size > block_tokens:
        return False
    wasted = size**2 - sum(_size(sequences, common, part) ** 2 for part in parts)
    return wasted <= PAIRS_PER_TOKEN * (depth - whole.depth) * (len(parts) - 1)


def _split(common: list[int], part: _Range, depth: int) -> Iterator[_Range]:
    """Cut where neighbours share no more than ``depth`` tokens."""
    first = part.first
    for index in range(part.first + 1, part.end + 1):
        if index == part.end or common[index] == depth:
            yield _Range(first, index, part.depth, part.prefix)
            first = index


def _add_prefix(plan: Plan, tokens: Tokens, part: _Range, depth: int) -> int:
    """Append the kept block of tokens ``part.depth``..``depth``; its index."""
    block = Block(prefix=part.prefix, depth=part.depth, keep=True)
    _extend(block, tokens[:depth], -1, part.depth)
    plan.blocks.append(block)
    return len(plan.blocks) - 1


def _extend(block: Block, tokens: Tokens, last: int, start: int) -> list[int]:
    """Append ``tokens[start:]`` after the block's token ``last``; their indices in the block."""
    added = range(len(block), len(block) + len(tokens) - start)
    block.tokens.extend(tokens[start:])
    block.positions.extend(range(start, len(tokens)))
    block.parent.extend([last, *added[:-1]] if added else [])
    return list(added)


def _add_tree(plan: Plan, sequences: list[Sequence], common: list[int], part: _Range) -> None:
    """Append the block of the part's tree, and the predictions that its sequences need."""
    block, home = Block(prefix=part.prefix, depth=part.depth), len(plan.blocks)
    path: list[int] = []  # the block's tokens on the way to the current sequence's end
    for index in range(part.first, part.end):
        tokens = sequences[index].tokens
        shared = part.depth if index == part.first else max(common[index], part.depth)
        path = path[: shared - part.depth]
        path += _extend(block, tokens, path[-1] if path else -1, shared)
        plan.scored.extend(_scored(plan, sequences[index], home, path, part))
    if len(block):
        plan.blocks.append(block)


def _scored(plan: Plan, sequence: Sequence, home: int, path: list[int], part: _Range) -> Iterator[Scored]:
    for one in sequence.continuations:
        start = len(sequence.tokens) - len(one.targets)
        for position, target in enumerate(one.targets, start):
            if position >= part.depth:
                yield Scored(home, path[position - part.depth], target, one.request)
            else:
                block, local = _in_prefix(plan, part.prefix, position)
                yield Scored(block, local, target, one.request)


def _in_prefix(plan: Plan, prefix: int | None, position: int) -> tuple[int, int]:
    """The kept block, among a prefix and its own prefixes, that holds a position, and the index there."""
    while prefix is not None:
        block = plan.blocks[prefix]
        if position >= block.depth:
            return prefix, position - block.depth
        prefix = block.prefix
    raise IndexError(f"position {position} is in no prefix")


def with_prefixes(blocks: list[Block], number: int) -> list[int]:
    """A block and all kept blocks before it, the first of them first."""
    found = [number]
    while (prefix := blocks[found[0]].prefix) is not None:
        found.insert(0, prefix)
    return found


def _note_last_users(plan: Plan) -> None:
    for index, block in enumerate(plan.blocks):
        if block.prefix is not None:
            plan.blocks[block.prefix].last_user = index
