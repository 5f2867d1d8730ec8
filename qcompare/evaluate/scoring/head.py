"""Log-probabilities of target tokens from hidden states: the output head only where it is needed, in pieces.

The model's own ``forward`` computes the logits (its scaling and soft-capping included), with the decoder answering
the hidden states already at hand. Log-softmax is float32; greedy means "argmax of the log-softmax", the first of
equals, as in lm-eval.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .memory import free_bytes, on_device

LOGITS_BYTES = 32 << 20
"""Float32 logits held at a time: small enough to stay near the cores, large enough for the matrix product."""
ACCELERATOR_LOGITS_BYTES = 1 << 30
"""The same on a GPU; less where little memory is free: a step holds about four times as much."""
LEAST_LOGITS_BYTES = 1 << 26
HEAD_BYTES = 1 << 28
"""Weights of an output head that are held in float32 at a time; a head of at most this size is converted once."""

_answer = threading.local()


@dataclass(frozen=True)
class TokenLogprobs:
    """For each target token, shape [targets]: its log-probability (float32) and whether it is the most likely one.

    On the device that computed them: a GPU is waited for only when they are read.
    """

    logprobs: torch.Tensor
    greedy: torch.Tensor


@contextmanager
def split_model(model: Any) -> Iterator[None]:
    """Within this context ``logits_of`` works: the decoder can answer given hidden states, thread by thread."""
    decoder = model.get_decoder()
    if decoder is None or decoder is model:
        raise TypeError(f"{type(model).__name__} has no decoder apart from its output head")
    own, forward = decoder.__dict__.get("forward"), decoder.forward
    decoder.forward = lambda *args, **kwargs: getattr(_answer, "output", None) or forward(*args, **kwargs)
    try:
        yield
    finally:
        del decoder.forward
        if own is not None:
            decoder.forward = own


@contextmanager
def float32_head(*heads: Any) -> Iterator[None]:
    """Within this context these output heads, linear layers in any dtype, answer in float32.

    A bfloat16 head rounds logits of 16 to 32 to multiples of 0.125: two models that differ by less would seem to
    differ by that. Products of bfloat16 numbers are exact in float32 (and in TF32), so only the sum is rounded.
    """
    # accelerate, which spreads models over devices, keeps a module's own forward under another name
    names = ["_old_forward" if hasattr(head, "_hf_hook") else "forward" for head in heads]
    before = [head.__dict__.get(name) for head, name in zip(heads, names, strict=True)]
    for head, name in zip(heads, names, strict=True):
        small = 4 * head.weight.numel() <= HEAD_BYTES and not head.weight.is_meta  # offloaded: loaded for each call
        setattr(head, name, partial(_float32_linear, head, head.weight.float() if small else None))
    try:
        yield
    finally:
        for head, name, own in zip(heads, names, before, strict=True):
            delattr(head, name)
            if own is not None:
                setattr(head, name, own)


def _float32_linear(head: Any, converted: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
    """The layer's output in float32, shape (..., out_features).

    Args:
        converted: its weights in float32; without them they are converted in pieces.
    """
    weight, bias = head.weight if converted is None else converted, getattr(head, "bias", None)
    x, bias = x.to(weight.device).float(), None if bias is None else bias.float()
    if weight.dtype is torch.float32:
        return F.linear(x, weight, bias)
    out = torch.empty(*x.shape[:-1], len(weight), device=x.device)
    rows = max(1, HEAD_BYTES // (4 * weight.shape[1]))
    for first in range(0, len(weight), rows):
        piece = slice(first, first + rows)
        out[..., piece] = F.linear(x, weight[piece].float(), None if bias is None else bias[piece])
    return out


def hidden_states(model: Any, tokens: torch.Tensor, positions: torch.Tensor | None = None) -> torch.Tensor:
    """Last hidden states [batch, tokens, hidden]; without ``positions`` the model counts them."""
    kwargs = {} if positions is None else {"position_ids": positions}
    hidden: torch.Tensor = model.get_decoder()(input_ids=tokens, use_cache=False, **kwargs).last_hidden_state
    return hidden


def logits_of(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Logits [positions, vocabulary] for hidden states [positions, hidden]; inside ``split_model`` only."""
    from transformers.modeling_outputs import MoeModelOutputWithPast

    ids = torch.zeros(1, len(hidden), dtype=torch.long, device=hidden.device)
    _answer.output = MoeModelOutputWithPast(last_hidden_state=hidden.unsqueeze(0))
    try:
        logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0]
    finally:
        _answer.output = None
    return logits


def gather_logprobs(model: Any, hidden: torch.Tensor, where: np.ndarray, targets: np.ndarray) -> TokenLogprobs:
    """Score ``targets`` [targets] after the hidden states [positions, hidden] at ``where`` [targets], ascending."""
    needed, slot = np.unique(where, return_inverse=True)
    size = positions_at_a_time(model, hidden)
    logprobs, greedy = [], []
    for first in range(0, len(needed), size):
        inside = slice(*np.searchsorted(slot, [first, first + size]))
        logits = logits_of(model, hidden.index_select(0, on_device(needed[first : first + size], hidden.device)))
        rows, wanted = (on_device(each, logits.device) for each in (slot[inside] - first, targets[inside]))
        some = gather_from_logits(logits, rows, wanted)
        logprobs.append(some.logprobs)
        greedy.append(some.greedy)
    return TokenLogprobs(torch.cat(logprobs), torch.cat(greedy))


def positions_at_a_time(model: Any, hidden: torch.Tensor) -> int:
    """Positions whose logits are held at a time, on the device of the hidden states."""
    size = LOGITS_BYTES
    if hidden.device.type != "cpu":
        size = max(LEAST_LOGITS_BYTES, min(ACCELERATOR_LOGITS_BYTES, free_bytes(hidden.device) // 8))
    return max(1, size // (4 * vocabulary(model)))


def gather_from_logits(logits: torch.Tensor, rows: torch.Tensor, targets: torch.Tensor) -> TokenLogprobs:
    """Score ``targets`` at ``rows`` of logits [positions, vocabulary]."""
    log_softmax = F.log_softmax(logits, dim=-1, dtype=torch.float32)
    best = log_softmax.argmax(dim=-1)
    return TokenLogprobs(log_softmax[rows, targets], best[rows] == targets)


def vocabulary(model: Any) -> int:
    """Size of the output head."""
    embeddings = model.get_output_embeddings()
    return int(embeddings.weight.shape[0]) if embeddings is not None else int(model.config.vocab_size)
