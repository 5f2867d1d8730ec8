"""Compiled rounding: the same numbers as one fused kernel, on CUDA with triton."""

from functools import cache
from importlib.util import find_spec

from qcompare.study.formats import Rounding


def compiled(function: Rounding) -> Rounding:
    """The function through `torch.compile`, for any number of rows; divisions are rounded as without it (triton's own
    are not, unless asked)."""
    import torch

    torch._dynamo.config.cache_size_limit = max(torch._dynamo.config.cache_size_limit, 64)
    rounding: Rounding = torch.compile(function, dynamic=True, options={"eager_numerics.division_rounding": True})
    return rounding


@cache
def can_compile() -> bool:
    """Whether compiling pays and can be done: on CUDA with triton. On a CPU it costs more than it saves."""
    import torch

    return torch.cuda.is_available() and find_spec("triton") is not None


def lacks_compiler() -> bool:
    """Whether compiling would pay but cannot be done: the same numbers, more slowly."""
    import torch

    return torch.cuda.is_available() and not can_compile()
