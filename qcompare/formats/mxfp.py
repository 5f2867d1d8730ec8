"""Rounding to microscaling floats (MXFP4, MXFP6, MXFP8): auto-round's values bit for bit, in far less time.

auto-round's `quant_mx` finds a number's exponent with a logarithm and undoes it with a power. `small_floats` needs
neither, and no compiler: it works in place and takes a handful of passes over memory.
Source of the rule: `auto_round/data_type/mxfp.py`; of the format: OCP Microscaling Formats 1.0.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from qcompare.formats.compiling import fused_on_gpu
from qcompare.formats.library import AutoRoundFormat
from qcompare.formats.small_floats import rounded_mantissa_
from qcompare.study.formats import Rounding, Scheme, SchemeChoice
from qcompare.words import gettext_noop

if TYPE_CHECKING:
    import torch

SCALE_LIMIT = 127
"""Largest exponent of a scale, and with a minus the smallest."""
BELOW_HALF = 0.5 - 2**-25
"""The float32 before one half: auto-round adds a half to it, which gives one, and so rounds it up."""


@dataclass(frozen=True)
class Microscaling:
    """One format: groups of numbers that share a power of two, each kept as a small float."""

    max_exponent: int
    """Exponent of the largest number of a group that a scale maps it to."""
    min_exponent: int
    """Below this power of two the steps grow no smaller."""
    mantissa_bits: int
    """Stored bits behind the leading one."""
    max_value: float
    """Largest number of the small float."""
    group_size: int
    round_up: bool
    """Scales are rounded up (`rceil`), so that nothing is cut off."""

    @classmethod
    def of(cls, function: Any, data_type: str, bits: int, group_size: int) -> "Microscaling | None":
        """The format that one of auto-round's functions rounds to; None for a function that is not rebuilt here.

        Args:
            function: from `auto_round.data_type.utils.get_quant_func`, with its `data_type`, such as `mx_fp4`.
        """
        from auto_round.data_type.mxfp import MXFP_FORMAT_CACHE, quant_mx, quant_mx_rceil

        if function not in (quant_mx, quant_mx_rceil) or group_size <= 0:
            return None
        name = data_type if data_type in MXFP_FORMAT_CACHE else f"mx_fp{bits}"
        exponent_bits, mantissa, max_exponent, max_value, _ = MXFP_FORMAT_CACHE[name]
        if not exponent_bits:
            return None
        # auto-round's `mbits` counts the sign and the leading one
        smallest = 2 - 2 ** (exponent_bits - 1)
        return cls(max_exponent, smallest, mantissa - 2, max_value, group_size, function is quant_mx_rceil)

    def round(self, x: "torch.Tensor") -> "torch.Tensor":
        """`x` of shape (rows, features) as the format's values; same shape and dtype, a tensor of its own."""
        import torch

        features = x.shape[-1]
        missing = -features % self.group_size
        padded = torch.nn.functional.pad(x, (0, missing)) if missing else x
        groups = padded.reshape(-1, self.group_size).to(torch.float32)
        exponent = self._scale_exponent(groups.abs().amax(-1, keepdim=True))
        scaled = torch.mul(groups, torch.pow(2.0, -exponent)).clamp_(-self.max_value, self.max_value)
        rounded = self._rounded_elements(scaled).mul_(torch.pow(2.0, exponent)).reshape(padded.shape)
        return rounded[..., :features].to(x.dtype)

    def _scale_exponent(self, largest: "torch.Tensor") -> "torch.Tensor":
        """Exponents of the groups' scales, from their largest absolute values; both of shape (groups, 1)."""
        import torch

        found = torch.log2(largest / self.max_value).ceil_() if self.round_up else torch.log2(largest).floor_()
        found.masked_fill_(largest == 0, 1.0)
        return found.sub_(0 if self.round_up else self.max_exponent).clamp_(-SCALE_LIMIT, SCALE_LIMIT)

    def _rounded_elements(self, scaled: "torch.Tensor") -> "torch.Tensor":
        """Numbers within ±max_value rounded to the small float's; what is given may be overwritten."""
        import torch

        below_half = scaled.abs() == BELOW_HALF * 2.0 ** (self.min_exponent - self.mantissa_bits)
        # `any` waits for a device; on the CPU it saves a pass
        if torch.compiler.is_compiling() or scaled.device.type != "cpu" or below_half.any():
            scaled = torch.where(below_half, 2 * scaled, scaled)
        return rounded_mantissa_(scaled, self.mantissa_bits, self.min_exponent)


@cache
def input_rounding(data_type: str, bits: int, group_size: int) -> Rounding | None:
    """Rounding of inputs as a layer that auto-round loaded does it (`auto_round/experimental/qmodules/mx.py:
    _mx_qdq`); None for what is not rebuilt here."""
    from auto_round.data_type.utils import get_quant_func

    function, name = get_quant_func(dtype=data_type, bits=bits, sym=True)
    found = Microscaling.of(function, name, bits, group_size)
    return _fast(found) if found else None


def _fast(microscaling: Microscaling) -> Rounding:
    """On CUDA one fused kernel."""
    return fused_on_gpu(microscaling.round)


class _Microscaling(AutoRoundFormat):
    def _rounding(self, function: Any, bits: int, group_size: int, data_type: str) -> Rounding:
        """Our own rounding; auto-round's function for what is not rebuilt here."""
        if microscaling := Microscaling.of(function, data_type, bits, group_size):
            return _fast(microscaling)
        return super()._rounding(function, bits, group_size, data_type)


class _Mxfp(_Microscaling):
    name = "mxfp"
    title = gettext_noop("microscaling floats")
    exports = ("auto_round", "llm_compressor")
    schemes = (
        Scheme(
            "MXFP4", name, 4, 32, 8, gettext_noop("4-bit floating point, groups of 32 share a power-of-two scale.")
        ),
        Scheme(
            "MXFP6",
            name,
            6,
            32,
            8,
            gettext_noop("6-bit floating point, groups of 32 share a power-of-two scale."),
            packed=False,
        ),
        Scheme(
            "MXFP8", name, 8, 32, 8, gettext_noop("8-bit floating point, groups of 32 share a power-of-two scale.")
        ),
    )
    choices = (
        SchemeChoice(("MXFP4", "MXFP8"), gettext_noop("MXFP4 + MXFP8\nThe open microscaling formats, 4 and 8 bits.")),
        SchemeChoice(
            ("MXFP4", "MXFP6", "MXFP8"), gettext_noop("MXFP4 + MXFP6 + MXFP8\nThree widths to choose from.")
        ),
    )


class _MxfpRceil(_Microscaling):
    name = "mxfp_rceil"
    title = gettext_noop("microscaling floats, scales rounded up")
    exports = ("auto_round",)
    schemes = (
        Scheme(
            "MXFP4_RCEIL", name, 4, 32, 8, gettext_noop("MXFP4 with activation scales rounded up, so nothing clips.")
        ),
        Scheme(
            "MXFP8_RCEIL", name, 8, 32, 8, gettext_noop("MXFP8 with activation scales rounded up, so nothing clips.")
        ),
    )
    choices = (
        SchemeChoice(
            ("MXFP4_RCEIL", "MXFP8_RCEIL"),
            gettext_noop("MXFP4 + MXFP8, scales rounded up\nAs in the published Llama tables."),
        ),
    )


MXFP, MXFP_RCEIL = _Mxfp(), _MxfpRceil()
