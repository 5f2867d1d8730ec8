"""On what a job ran: device, dtype, library versions, and how much memory it took."""

import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from qcompare.models.machine import device_name
from qcompare.study.result import Environment

LIBRARIES = ("qcompare", "torch", "transformers", "auto-round", "lm-eval", "datasets", "tokenizers", "safetensors")
"""Libraries that can move a score."""
OPTIONAL = ("bitsandbytes", "torchao")
"""The same, where they are installed: checkpoints of theirs need them."""


def environment(device: str, dtype: str) -> Environment:
    """The machine and the versions of this process."""
    import torch

    return Environment(
        device=device,
        device_name=device_name(device),
        dtype=dtype,
        threads=torch.get_num_threads(),
        python=platform.python_version(),
        platform=platform.platform(),
        libraries=library_versions(),
    )


def library_versions() -> dict[str, str]:
    """Versions of `LIBRARIES` and `OPTIONAL`; qcompare's own is that of the code that runs, installed or not."""
    from qcompare import __version__

    found = {"qcompare": __version__}
    for name in (*LIBRARIES[1:], *OPTIONAL):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def machine_identity(device: str, dtype: str, hub_kernels: bool) -> dict[str, Any]:
    """How this machine computes, as far as it can move a number: part of the keys of what is kept.

    Args:
        device: as torch names it; its kind and name count, not its index.
        hub_kernels: transformers may replace layers by kernels from the hub.
    """
    import torch

    cuda, kind = torch.backends.cuda, device.partition(":")[0]
    versions = library_versions()
    for name in ("compressed-tensors", "llmcompressor", "gguf", "triton", *(("kernels",) if hub_kernels else ())):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {
        "device": f"{kind} {device_name(device)}",
        "dtype": dtype,
        "threads": torch.get_num_threads() if kind == "cpu" else None,
        "libraries": versions,
        "hub_kernels": hub_kernels,
        "numerics": {
            "float32_matmul": torch.get_float32_matmul_precision(),
            "tf32": [cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32],
            "reduced_precision": [
                cuda.matmul.allow_bf16_reduced_precision_reduction,
                cuda.matmul.allow_fp16_reduced_precision_reduction,
            ],
            "attention": [cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.cudnn_sdp_enabled()],
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "cpu": [torch.backends.cpu.get_cpu_capability(), torch.backends.mkldnn.enabled],
        },
    }


def peak_memory_bytes(device: str) -> int:
    """Most memory this process held: on the GPU for CUDA devices, else resident in RAM."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process(os.getpid()).memory_info().peak_wset)
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the process was before exec: its parent
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS
