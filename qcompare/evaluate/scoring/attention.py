"""Attention for packed rows, registered with transformers under the name ``qcompare_packed``.

A model whose attention goes through ``ALL_ATTENTION_FUNCTIONS`` calls ``packed_attention`` in every layer with the
flat row's queries, keys and values; what is being served says who sees whom. Sliding windows, logit soft-capping and
a simulated FP8 KV cache are exact. Anything else an attention asks for (sinks, position biases, bidirectional) raises
UnsupportedAttention.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from qcompare.quantize.kv_cache import reading_fp8, without_fp8_cache

from .rows import Bucket, Buckets, Row, make_buckets
from .shards import OnDevices
from .whole_rows import KeysValues, WholeRowAttention

NAME = "qcompare_packed"
DENSE_SCORES = 1 << 25
"""Above this many attention scores in a bucket, use the kernel that does not hold them all."""


class UnsupportedAttention(RuntimeError):
    """The model's attention asks for something a packed row cannot give."""


class PrefixStore:
    """Keys and values of kept blocks, [kv heads, tokens, head size] per layer, their own prefixes included."""

    def __init__(self) -> None:
        self._held: dict[int, dict[int, KeysValues]] = {}

    def put(self, block: int, prefix: int | None, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        if prefix is not None:
            before = self.get(prefix, layer)
            key, value = torch.cat([before[0], key], dim=1), torch.cat([before[1], value], dim=1)
        self._held.setdefault(block, {})[layer] = (key.contiguous(), value.contiguous())

    def get(self, block: int, layer: int) -> KeysValues:
        return self._held[block][layer]

    def layers(self, block: int) -> dict[int, KeysValues]:
        return self._held[block]

    def __contains__(self, block: int) -> bool:
        return block in self._held

    def drop(self, blocks: Iterable[int]) -> None:
        for block in blocks:
            self._held.pop(block, None)

    def keep_only(self, blocks: Collection[int]) -> None:
        self.drop([block for block in self._held if block not in blocks])


@dataclass(frozen=True)
class How:
    """What a layer asks for besides its tensors."""

    scale: float
    window: int | None
    softcap: float | None

    def capped(self, scores: torch.Tensor) -> torch.Tensor:
        return scores if self.softcap is None else torch.tanh(scores / self.softcap) * self.softcap


Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor, How], torch.Tensor]
"""(layer, query, key, value, how) → output; query [1, heads, tokens, size], output [1, tokens, heads, size]."""
_current = threading.local()


@contextmanager
def serving(attend: Attend) -> Iterator[None]:
    """Within this context ``packed_attention`` is computed by ``attend``."""
    _current.attend = attend
    try:
        yield
    finally:
        _current.attend = None


@contextmanager
def packed_model(model: Any) -> Iterator[None]:
    """Let the model use packed attention within this context, its own implementation after it."""
    from transformers import AttentionInterface

    before = model.config._attn_implementation
    own, reads_fp8 = without_fp8_cache(before)
    # transformers' sdpa ignores soft-capping (5.17, Gemma 2): a model given with sdpa is scored as it computes
    name, function = (f"{NAME}_uncapped", _uncapped) if own == "sdpa" else (NAME, packed_attention)
    if reads_fp8:
        name, function = f"{name}_fp8", reading_fp8(function)
    AttentionInterface.register(name, function)
    try:
        model.set_attn_implementation(name)
        yield
    finally:
        model.set_attn_implementation(before)


def _uncapped(*args: Any, softcap: float | None = None, **kwargs: Any) -> tuple[torch.Tensor, None]:
    return packed_attention(*args, **kwargs)


def packed_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of what is being served; query [1, heads, tokens, size] → output [1, tokens, heads, size]."""
    if attention_mask is not None or any(kwargs.get(name) is not None for name in ("s_aux", "position_bias")):
        raise UnsupportedAttention(f"{type(module).__name__} uses a mask, sinks or a position bias of its own")
    if kwargs.get("is_causal", getattr(module, "is_causal", True)) is False:
        raise UnsupportedAttention(f"{type(module).__name__} is not causal")
    how = How(query.shape[-1] ** -0.5 if scaling is None else scaling, sliding_window, softcap)
    return _current.attend(module.layer_idx, query, key, value, how), None


def attend_row(row: Row, store: PrefixStore, whole: bool = False) -> Attend:
    """Attention within a row and to the prefixes in ``store``, which takes what the row keeps.

    Args:
        whole: in one call where that can be done (``whole_rows``), else in buckets.
    """
    whole_row = WholeRowAttention.of(row) if whole else None
    in_buckets = _attend_in_buckets(row, store)

    def attend(layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, how: How) -> torch.Tensor:
        for number, prefix, first, end in row.kept:
            store.put(number, prefix, layer, key[0, :, first:end], value[0, :, first:end])
        if whole_row is not None:
            before = None if whole_row.prefix is None else store.get(whole_row.prefix, layer)
            out = whole_row(query, key, value, before, how.scale, how.window, how.softcap)
            if out is not None:
                return out
        return in_buckets(layer, query, key, value, how)

    return attend


def _attend_in_buckets(row: Row, store: PrefixStore) -> Attend:
    made: list[OnDevices[Buckets]] = []

    def attend(layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, how: How) -> torch.Tensor:
        if not made:
            made.append(OnDevices(make_buckets(row), row.tokens.device))
        here = made[0].on(query.device)
        q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))  # [tokens, heads, size]
        outputs = []
        for bucket in here.buckets:
            before = None if bucket.prefix is None else store.get(bucket.prefix, layer)
            parts = [x.index_select(0, bucket.index).unflatten(0, bucket.shape) for x in (q, k, v)]
            outputs.append(_attend(bucket, _Gathered(parts[0], parts[1], parts[2], before), how))
        return torch.cat(outputs).index_select(0, here.inverse).unsqueeze(0)

    return attend


@dataclass(frozen=True)
class _Gathered:
    """A bucket's queries, keys and values [blocks, length, heads, size], and its prefix's keys and values."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    before: KeysValues | None

    @property
    def groups(self) -> int:
        """Query heads to a key head."""
        return int(self.q.shape[2] // self.k.shape[2])


def _attend(bucket: Bucket, x: _Gathered, how: How) -> torch.Tensor:
    """Output [blocks * length, heads, size] of one bucket."""
    matters = how.window is not None and how.window < bucket.reach
    scores = bucket.blocks * bucket.length * (bucket.length + bucket.depth) * x.q.shape[2]
    if how.softcap is not None:
        return _dense(bucket, x, how)
    if bucket.causal and not matters:
        return _by_kernel(x, how.scale, None)
    if x.q.is_cuda or scores > DENSE_SCORES:
        return _by_kernel(x, how.scale, bucket.mask(how.window)[:, None])
    return _dense(bucket, x, how)


def _by_kernel(x: _Gathered, scale: float, mask: torch.Tensor | None) -> torch.Tensor:
    """torch's fused kernel: causal without a mask, else a boolean mask over prefix and own part."""
    k, v = x.k, x.v
    if x.before is not None:
        prefix = [part.transpose(0, 1).expand(len(k), -1, -1, -1) for part in x.before]
        k, v = torch.cat([prefix[0], k], dim=1), torch.cat([prefix[1], v], dim=1)
    if x.groups > 1:
        k, v = k.repeat_interleave(x.groups, dim=2), v.repeat_interleave(x.groups, dim=2)
    q, k, v = x.q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale)
    return out.transpose(1, 2).flatten(0, 1)


def _dense(bucket: Bucket, x: _Gathered, how: How) -> torch.Tensor:
    """Scores as two matrix products: with the shared prefix (all blocks at once) and with the block's own keys.

    Faster than the fused kernel on a CPU for short blocks (8 blocks of 160: 4.1 against 6.2 ms); copies no prefix.
    """
    blocks, length, _, size = x.q.shape
    kv_heads, folded = x.k.shape[2], x.groups * length
    q = (x.q * how.scale).view(blocks, length, kv_heads, x.groups, size).permute(2, 0, 3, 1, 4)
    q = q.reshape(kv_heads * blocks, folded, size)
    k, v = (part.permute(2, 0, 1, 3).reshape(kv_heads * blocks, length, part.shape[-1]) for part in (x.k, x.v))
    depth = bucket.depth if x.before is not None else 0
    scores = q.new_empty(kv_heads, blocks, folded, depth + length)
    torch.bmm(q, k.transpose(1, 2), out=scores.view(-1, folded, depth + length)[..., depth:])
    if x.before is not None:
        early = scores.view(kv_heads, -1, depth + length)[..., :depth]
        torch.bmm(q.view(kv_heads, -1, size), x.before[0].transpose(1, 2), out=early)
    scores = how.capped(scores)
    bias = bucket.bias(how.window, x.groups)
    scores[..., -bias.shape[-1] :] += bias
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(v.dtype)
    out = torch.bmm(weights[..., depth:].reshape(-1, folded, length), v)
    if x.before is not None:
        out += torch.bmm(weights[..., :depth].reshape(kv_heads, -1, depth), x.before[1]).view_as(out)
    out = out.view(kv_heads, blocks, x.groups, length, -1).permute(1, 3, 0, 2, 4)
    return out.reshape(blocks * length, kv_heads * x.groups, -1)
