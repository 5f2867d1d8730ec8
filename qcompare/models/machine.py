"""Which device and which compute dtype a job uses. Loads torch: call it in the worker."""

import platform
from pathlib import Path

from qcompare.errors import JobError

DTYPES = ("float32", "bfloat16", "float16")
BF16_UNITS = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")
"""CPU features that multiply bfloat16 in hardware. Without them it is about three times slower than float32."""


def pick_device(wanted: str, assigned: str | None) -> str:
    """The device a job runs on, as torch names it.

    Args:
        wanted: the setting: `auto`, `cpu`, `cuda` or `cuda:N`.
        assigned: what the supervisor gave this job; wins.

    Raises:
        JobError: a CUDA device is asked for that does not exist.
    """
    import torch

    device = assigned or wanted
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda:0" if found else "cpu"
    kind, _, index = device.partition(":")
    if kind == "cuda" and int(index or 0) >= found:
        raise JobError(
            "device {device} does not exist: torch sees {n} CUDA devices; set device to auto or cpu",
            device=device,
            n=found,
        )
    return device


def pick_dtype(device: str, wanted: str) -> str:
    """The compute dtype: as wanted; for `auto`, bfloat16 where the device has units for it.

    Raises:
        JobError: no such dtype.
    """
    if wanted != "auto":
        if wanted not in DTYPES:
            raise JobError("unknown dtype '{dtype}': choose auto, {known}", dtype=wanted, known=", ".join(DTYPES))
        return wanted
    import torch

    if device.startswith("cuda"):
        # Not float16 on older GPUs: some models (Gemma) overflow in it, and a wrong number is worse than a slow one.
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    features = torch.cpu.get_capabilities()
    return "bfloat16" if any(features.get(name) for name in BF16_UNITS) else "float32"


def device_name(device: str) -> str:
    """Name of the GPU or the processor, for people."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    return _cpu_name() or platform.processor() or platform.machine()


def _cpu_name() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
