"""Compiled rounding: the same numbers as one fused kernel, on CUDA with triton. On a CPU it would cost more time."""

import os
import shutil
import sysconfig
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from qcompare.study.formats import Rounding

if TYPE_CHECKING:
    import torch

COMPILERS = ("cc", "gcc", "clang", "cl")


def fused_on_gpu(function: Rounding) -> Rounding:
    """The function, compiled for tensors on a CUDA device where that can be done, else as it is."""
    kernels: list[Rounding] = []

    def rounded(x: "torch.Tensor", *others: "torch.Tensor") -> "torch.Tensor":
        if not (x.is_cuda and can_compile()):
            found: torch.Tensor = function(x, *others)
            return found
        if not kernels:
            kernels.append(compiled(function))
        found = kernels[0](x, *others)
        return found

    return rounded


def compiled(function: Rounding) -> Rounding:
    """The function through `torch.compile`, for any number of rows; divisions are rounded as without it (triton's own
    are not, unless asked)."""
    import torch

    torch._dynamo.config.cache_size_limit = max(torch._dynamo.config.cache_size_limit, 64)
    rounding: Rounding = torch.compile(function, dynamic=True, options={"eager_numerics.division_rounding": True})
    return rounding


@cache
def can_compile() -> bool:
    """Whether kernels for CUDA devices can be compiled on this machine."""
    return not missing_for_compiling()


def missing_for_compiling() -> tuple[str, ...]:
    """What compiling for CUDA lacks here: triton builds a small C module against Python's headers for each kernel."""
    found = {
        "triton": find_spec("triton"),
        "a C compiler": os.environ.get("CC") or next(filter(shutil.which, COMPILERS), None),
        "Python's headers (python3-dev)": Path(sysconfig.get_paths()["include"], "Python.h").exists(),
    }
    return tuple(name for name, its in found.items() if not its)
