"""On what a job ran: device, dtype, library versions, and how much memory it took."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from qcompare.models.machine import device_name
from qcompare.study.result import Environment

LIBRARIES = ("qcompare", "torch", "transformers", "auto-round", "lm-eval", "datasets", "tokenizers", "safetensors")
"""Libraries that can move a score."""


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
    """Versions of `LIBRARIES`; qcompare's own is that of the code that runs, installed or not."""
    from qcompare import __version__

    found = {"qcompare": __version__}
    for name in LIBRARIES[1:]:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


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
