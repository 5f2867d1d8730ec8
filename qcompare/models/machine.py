"""Which device and which compute dtype a job uses. Loads torch: call it in the worker."""

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from qcompare.errors import JobError
from qcompare.models.devices import split_ids

DTYPES = ("float32", "bfloat16", "float16")
ACCELERATORS = ("cuda", "xpu", "mps")
"""As torch names them; ROCm's GPUs are `cuda` too."""
BF16_UNITS = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")
"""CPU features that multiply bfloat16 in hardware. Without them it is about three times slower than float32."""


def pick_device(wanted: str, assigned: str | None) -> str:
    """The device a job runs on, as torch names it in this process.

    Args:
        wanted: the setting: `auto`, `cpu`, `cuda`, `cuda:N`, `xpu`, `xpu:N` or `mps`.
        assigned: what the supervisor gave this job (`models.devices`), which is all that this process sees of its
            kind. It wins, except over `cpu`, and where only its executor knows it.

    Returns:
        `cpu`, `cuda:N`, `xpu:N`, `mps`, or `cuda` for all visible GPUs together.

    Raises:
        JobError: a device is asked for that does not exist.
    """
    import torch

    kind = (assigned or "").partition(":")[0]
    if wanted == "cpu" or kind == "cpu":
        return "cpu"
    if kind in ACCELERATORS:
        device = kind if kind == "mps" or len(split_ids(assigned or "")) > 1 else f"{kind}:0"
    else:
        device = wanted
    counts = {name: _count(getattr(torch, name, None)) for name in ACCELERATORS}
    if device == "auto":
        return next((f"{name}:0" for name in ("cuda", "xpu") if counts[name]), "cpu")
    kind, _, index = device.partition(":")
    if int(index or 0) >= counts[kind]:
        raise JobError(
            "device {device} does not exist: torch sees {n} {kind} devices; set device to auto or cpu",
            device=device,
            n=counts[kind],
            kind=kind,
        )
    return device if assigned or index or kind == "mps" else f"{kind}:0"


def _count(module: Any) -> int:
    return int(module.device_count()) if module is not None and module.is_available() else 0


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

    kind = device.partition(":")[0]
    if kind == "xpu":
        return "bfloat16"
    if kind == "mps":
        return "float32"
    if kind == "cuda":
        # Not float16 on older GPUs: some models (Gemma) overflow in it, and a wrong number is worse than a slow one.
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    features = torch.cpu.get_capabilities()
    return "bfloat16" if any(features.get(name) for name in BF16_UNITS) else "float32"


def avoid_attention_plans() -> None:
    """Keep torch from cuDNN's attention, for the whole process; before anything is computed.

    torch prefers it on compute capability 9.0 and later. It plans for every new shape (FunASR #3704 measured 0.44 s
    each), and packed rows rarely have the same shape twice; flash and memory-efficient attention plan nothing.
    """
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)


def device_name(device: str) -> str:
    """Name of the GPU or the processor, for people."""
    kind, _, index = device.partition(":")
    if kind in ("cuda", "xpu"):
        import torch

        module = getattr(torch, kind)
        name = str(module.get_device_name(int(index or 0)))
        return name if index or module.device_count() == 1 else f"{module.device_count()} × {name}"
    if kind == "mps":
        return f"{_cpu_name() or platform.processor()} GPU"
    return _cpu_name() or platform.processor() or platform.machine()


def _cpu_name() -> str | None:
    if sys.platform == "darwin":  # where platform.processor() is "arm" for all of them
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
        return done.stdout.strip() or None
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
