"""NVFP4: 4-bit floats in groups of 16 with an 8-bit float scale, and one 32-bit scale per tensor.

Weights and activations as auto-round computes them (`auto_round/data_type/nvfp.py`); activations, which are rounded
at every call, in a fraction of the time. A checkpoint stores the tensor scale of each layer's inputs, from
calibration text; so a study takes it from there too, and scores do not depend on what else stands in a batch.
auto-round's in-memory model takes it from each tensor as it comes.
"""

from collections.abc import Callable, Mapping
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from qcompare.formats.compiling import fused_on_gpu
from qcompare.formats.library import AutoRoundFormat
from qcompare.formats.small_floats import FLOAT8_MAX, rounded_float8_, rounded_mantissa_
from qcompare.models.layers import fused_key
from qcompare.study.formats import Rounding, Scheme, SchemeChoice
from qcompare.words import gettext_noop

if TYPE_CHECKING:
    import torch

GROUP = 16
"""Numbers that share an 8-bit scale."""
FLOAT4_MAX = 6.0
"""Largest number of the 4-bit float (e2m1)."""
SMALLEST_SCALE = 0.125
"""compressed-tensors' scale of a group that would have none."""
Grouped = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
"""(groups of numbers (groups, 16), tensor scale) → the groups as NVFP4, in float32 at least."""


class _Nvfp(AutoRoundFormat):
    name = "nvfp"
    title = gettext_noop("NVIDIA's 4-bit floats")
    exports = ("auto_round", "llm_compressor")
    schemes = (
        Scheme("NVFP4", name, 4, 16, 8, gettext_noop("4-bit floating point, groups of 16 share an 8-bit scale.")),
    )
    calibrates_inputs = True
    choices = (
        SchemeChoice(
            ("NVFP4", "BF16"), gettext_noop("NVFP4 + BF16\nNVIDIA's 4-bit format; the other layers stay as they are.")
        ),
    )

    def activation_rounding(self, scheme: Scheme, maximum: float | None = None) -> Rounding | None:
        return lambda x: nvfp4(x, _tensor_scale(x, maximum))

    def shared_settings(self, layers: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        """Layers that serving engines fuse share the scale of their tensors, as in auto-round
        (`data_type/utils.py: update_fused_layer_global_scales`)."""
        import torch
        from auto_round.data_type.nvfp import calculate_gparam

        scales = {name: calculate_gparam(layer.weight) for name, layer in layers.items()}
        found: dict[str, Mapping[str, Any]] = {}
        for _, group in groupby(sorted(layers, key=fused_key), key=fused_key):
            names = list(group)
            smallest = torch.stack([scales[name] for name in names]).min()
            found |= {name: {"global_scale": smallest} for name in names}
        return found


def nvfp4(x: "torch.Tensor", tensor_scale: "torch.Tensor", by_compressed_tensors: bool = False) -> "torch.Tensor":
    """`x` of shape (rows, features) as NVFP4; same shape and dtype.

    Args:
        tensor_scale: of one element; what a group's scale is multiplied with before it is rounded to 8 bits.
        by_compressed_tensors: with that library's values in place of auto-round's, which differ in the last bits.
    """
    import torch

    features = x.shape[-1]
    missing = -features % GROUP
    padded = torch.nn.functional.pad(x, (0, missing)) if missing else x
    rounded = _rounding(by_compressed_tensors)(padded.reshape(-1, GROUP), tensor_scale)
    return rounded.reshape(padded.shape)[..., :features].to(x.dtype)


def scaled_rounding(tensor_scale: "torch.Tensor", by_compressed_tensors: bool) -> Rounding:
    """`nvfp4` on a tensor scale that a checkpoint stores for a layer's inputs: one function for each scale."""
    return _scaled_rounding(float(tensor_scale), tensor_scale.dtype, tensor_scale.device, by_compressed_tensors)


@cache
def _scaled_rounding(
    value: float, dtype: "torch.dtype", device: "torch.device", by_compressed_tensors: bool
) -> Rounding:
    import torch

    scale = torch.tensor([value], dtype=dtype, device=device)
    return lambda x: nvfp4(x, scale, by_compressed_tensors)


def _tensor_scale(x: "torch.Tensor", maximum: float | None) -> "torch.Tensor":
    """`auto_round.data_type.nvfp.calculate_gparam`, of a known maximum without waiting for the device."""
    import torch

    largest = x.abs().amax().float() if maximum is None else torch.full((), maximum, device=x.device)
    return FLOAT8_MAX * FLOAT4_MAX * _reciprocal(largest)


@cache
def _rounding(by_compressed_tensors: bool) -> Grouped:
    return fused_on_gpu(_as_compressed_tensors if by_compressed_tensors else _as_auto_round)


def _as_auto_round(groups: "torch.Tensor", tensor_scale: "torch.Tensor") -> "torch.Tensor":
    """`auto_round/data_type/nvfp.py: ref_nvfp4_quant`."""
    scale = rounded_float8_(tensor_scale * (_largest(groups).float() * (1 / FLOAT4_MAX)))
    inverse = _reciprocal(scale * _reciprocal(tensor_scale))
    return _float4_(groups * inverse).mul_(_reciprocal(inverse))


def _as_compressed_tensors(groups: "torch.Tensor", tensor_scale: "torch.Tensor") -> "torch.Tensor":
    """`compressed_tensors/quantization`: `calculate_qparams` and `_quantize_dequantize`, in its order of dtypes."""
    wide = tensor_scale * (_largest(groups) / FLOAT4_MAX)
    scale = rounded_float8_(wide).to(wide.dtype)
    scale = scale.masked_fill_(scale == 0, SMALLEST_SCALE) / tensor_scale
    return _float4_(groups / scale).to(scale.dtype).mul_(scale)


def _largest(groups: "torch.Tensor") -> "torch.Tensor":
    """Largest absolute value of each group, shape (groups, 1)."""
    return groups.abs().amax(-1, keepdim=True)


def _reciprocal(x: "torch.Tensor") -> "torch.Tensor":
    """1 / x, and 0 of 0."""
    return (1.0 / x).masked_fill_(x == 0, 0.0)


def _float4_(x: "torch.Tensor") -> "torch.Tensor":
    """What is given may be overwritten."""
    return rounded_mantissa_(x.clamp_(-FLOAT4_MAX, FLOAT4_MAX).float(), mantissa_bits=1, min_exponent=0)


NVFP = _Nvfp()
