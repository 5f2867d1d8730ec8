"""Rounding to small floats without a logarithm.

The exponent is cut out of a float32's own bits, and a number is rounded by adding and subtracting a large one, as
IEEE 754 rounds sums to nearest even.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

EXPONENT_BITS = 0x7F800000
"""Of a float32: what is left of a number is the power of two below it."""
HALF = 1.5 * 2**23
"""Added to a number within ±2**22 and taken away again, it rounds that number to a whole one, halves to even."""

FLOAT8_MAX = 448.0
"""Largest number of the 8-bit float (e4m3)."""


def rounded_float8_(x: "torch.Tensor") -> "torch.Tensor":
    """Numbers as 8-bit floats (e4m3), the largest for those beyond it: same shape, in float32. `x` is overwritten."""
    return rounded_mantissa_(x.clamp_(-FLOAT8_MAX, FLOAT8_MAX).float(), mantissa_bits=3, min_exponent=-6)


def rounded_mantissa_(x: "torch.Tensor", mantissa_bits: int, min_exponent: int) -> "torch.Tensor":
    """Float32 numbers with their mantissas rounded, in place; below `2 ** min_exponent` the steps grow no smaller."""
    import torch

    power = x.view(torch.int32).bitwise_and(EXPONENT_BITS).view(torch.float32)
    power.clamp_(min=2.0**min_exponent)
    factor = HALF * 2.0**-mantissa_bits
    return x.add_(power, alpha=factor).sub_(power, alpha=factor)
