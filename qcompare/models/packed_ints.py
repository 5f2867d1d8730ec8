"""GPTQ and AWQ weights, and auto-round's of both kinds, unpacked into plain ones.

The kernels that transformers and auto-round run them with want packages that build on a GPU (gptqmodel, autoawq), or
compute in float16 and unpack at every call: 40 s for a passage of 130 tokens on a CPU. Unpacked once, a layer is an
ordinary one in any dtype, with the same weights. Layouts: `auto_round_extension/torch/qlinear_torch.py` and
`auto_round/export/export_to_awq/utils.py` in 0.15.1, with which a test compares.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""Where AWQ puts each of eight neighbouring outputs inside a 32-bit word."""
KINDS = ("qweight", "qzeros", "scales", "g_idx")
"""Tensors of a packed layer."""


def unpack_all(tensors: "Mapping[str, torch.Tensor]", how: Mapping[str, Any]) -> "dict[str, torch.Tensor]":
    """Plain weights in place of packed ones; all other tensors as they are.

    Args:
        tensors: of a checkpoint, by name.
        how: its quantization config.
    """
    kind = f"{how.get('quant_method')} {how.get('packing_format')}"
    awq, stored_less_one = "awq" in kind, _stores_less_one(how)
    layers = {name.removesuffix(".qweight") for name in tensors if name.endswith(".qweight")}
    found = {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[0] not in layers}
    for layer in layers:
        parts = {each: tensors[f"{layer}.{each}"] for each in KINDS if f"{layer}.{each}" in tensors}
        groups = {"group_size": int(how.get("group_size") or -1)}
        unpacked = (
            unpack_awq(**parts, **groups) if awq else unpack_gptq(**parts, **groups, stored_less_one=stored_less_one)
        )
        found[f"{layer}.weight"] = unpacked
        if f"{layer}.bias" in tensors:
            found[f"{layer}.bias"] = tensors[f"{layer}.bias"]
    return found


def _stores_less_one(how: Mapping[str, Any]) -> bool:
    """GPTQ's first format stores zero points less one; its second, and auto-round's own, as they are."""
    if how.get("quant_method") == "auto-round":
        return how.get("packing_format") in ("auto_round:auto_gptq", "auto_round:gptq")
    return how.get("checkpoint_format") != "gptq_v2"


def unpack_gptq(
    qweight: "torch.Tensor",
    qzeros: "torch.Tensor",
    scales: "torch.Tensor",
    g_idx: "torch.Tensor | None" = None,
    group_size: int = -1,
    stored_less_one: bool = True,
) -> "torch.Tensor":
    """A layer's weights, shape (out_features, in_features), in the dtype of its scales.

    Args:
        qweight: int32, (in_features / 32 · bits, out_features): a stream of bits along the inputs.
        qzeros: int32, (groups, out_features / 32 · bits): the same along the outputs.
        scales: (groups, out_features).
        g_idx: (in_features): the group of each input; None: in their order.
        group_size: inputs of a group, where the last one is not full.
    """
    bits = qzeros.shape[1] * 32 // scales.shape[1]
    values = _stream(qweight, bits)
    zeros = _stream(qzeros.T, bits).T + int(stored_less_one)
    return _scaled(values, zeros, scales, g_idx, group_size)


def unpack_awq(
    qweight: "torch.Tensor",
    qzeros: "torch.Tensor",
    scales: "torch.Tensor",
    g_idx: "torch.Tensor | None" = None,
    group_size: int = -1,
) -> "torch.Tensor":
    """As `unpack_gptq`, from int32 of shape (in_features, out_features / 8) and (groups, out_features / 8)."""

    def columns(packed: "torch.Tensor") -> "torch.Tensor":
        values = _stream(packed.T, bits=4).T
        return values.reshape(len(packed), -1, 8)[:, :, AWQ_ORDER].reshape(len(packed), -1)

    return _scaled(columns(qweight), columns(qzeros), scales, g_idx, group_size)


def _stream(words: "torch.Tensor", bits: int) -> "torch.Tensor":
    """Numbers of so many bits from 32-bit words, a stream along the first axis: (n, m) → (n · 32/bits, m)."""
    import torch

    words = words.reshape(-1, bits, words.shape[1]).long() & 0xFFFFFFFF
    numbers = torch.empty(len(words), 32, words.shape[2], dtype=torch.int16, device=words.device)
    for position in range(32):
        word, shift = divmod(position * bits, 32)
        value = words[:, word] >> shift
        if shift + bits > 32:
            value |= words[:, word + 1] << (32 - shift)
        numbers[:, position] = value & (2**bits - 1)
    return numbers.reshape(-1, words.shape[2])


def _scaled(
    values: "torch.Tensor",
    zeros: "torch.Tensor",
    scales: "torch.Tensor",
    g_idx: "torch.Tensor | None",
    group_size: int,
) -> "torch.Tensor":
    import torch

    if g_idx is None:
        even, rest = divmod(len(values), len(scales))
        g_idx = torch.arange(len(values), device=values.device) // (group_size if rest else even)
    group = g_idx.long()
    return (scales[group] * (values - zeros[group])).T.contiguous()
