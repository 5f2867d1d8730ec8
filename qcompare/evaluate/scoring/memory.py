"""How many tokens one forward pass may hold, from the memory that is free."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from qcompare.evaluate.row_budget import power_of_two

CPU_TOKENS = 1024
"""Enough for full matrix-product speed on a CPU; more only leaves the caches."""
ACCELERATOR_TOKENS = 16384
LEAST_TOKENS = 64
SHARE = 0.25
"""Part of the free memory the activations of one pass may take."""


@dataclass
class Budget:
    """Tokens of one forward pass. Lowered on out-of-memory, never raised again."""

    tokens: int
    lowered: Callable[[int], None] = lambda tokens: None
    """Told each lower number, at once."""

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise ValueError(f"a token budget of {self.tokens}: at least 1 is needed")

    def lower(self, tried: int) -> None:
        """The next passes hold less than what was tried: at most the power of two below it."""
        if (less := power_of_two(tried - 1)) < self.tokens:
            self.tokens = less
            self.lowered(less)


def free_bytes(device: torch.device) -> int:
    """Memory that this process can still get on a device: free, or held by torch's allocator without use."""
    if device.type in ("cuda", "xpu"):
        module = getattr(torch, device.type)
        unused = module.memory_reserved(device) - module.memory_allocated(device)
        return int(module.mem_get_info(device)[0] + unused)
    import psutil

    return int(psutil.virtual_memory().available)


def on_device(values: list[list[int]] | np.ndarray, device: torch.device) -> torch.Tensor:
    """Integers on a device, of the same shape; the caller does not wait for a GPU that is at work."""
    tensor = torch.as_tensor(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def default_row_tokens(model: Any) -> int:
    """The device's useful maximum, or the power of two that a quarter of the free memory holds."""
    most = CPU_TOKENS if model.device.type == "cpu" else ACCELERATOR_TOKENS
    free = free_bytes(model.device)
    return max(LEAST_TOKENS, power_of_two(min(most, int(SHARE * free / bytes_per_token(model)))))


def bytes_per_token(model: Any) -> int:
    """Activations alive at once for one token, generously: residual stream, projections and the MLP's products."""
    config = model.config.get_text_config()
    width = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * width)
    return (16 * width + 6 * inner) * max(2, int(model.dtype.itemsize))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that an allocation failed, on CUDA or on a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("can't allocate memory" in text or "not enough memory" in text)


def release_memory(error: BaseException) -> None:
    """Free what a failed pass held: its tensors are alive as long as the error's traceback is."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def reuse_freed_memory() -> bool:
    """Let the C library keep memory this process frees: fresh pages cost up to 5 % of scoring.

    glibc only (elsewhere it does nothing and returns False); for a process that exists to evaluate, at its start.
    """
    return _set_malloc(mmap_threshold=256 << 20, trim_threshold=512 << 20)


def return_freed_memory() -> bool:
    """Let the C library give freed tensors back to the system, while models are written and loaded: without it the
    heap of a 135 M model grows to 1.9 × the model. Likewise glibc only; `reuse_freed_memory` ends it."""
    return _set_malloc(mmap_threshold=256 << 10, trim_threshold=1 << 20)


def _set_malloc(mmap_threshold: int, trim_threshold: int) -> bool:
    """Bytes from which an allocation gets pages of its own, and free bytes that the heap may keep."""
    import ctypes
    import sys

    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    m_trim_threshold, m_mmap_threshold = -1, -3
    return bool(mallopt(m_mmap_threshold, mmap_threshold)) and bool(mallopt(m_trim_threshold, trim_threshold))
