"""Devices that jobs may use, found without loading torch."""

from qcompare.errors import InvalidStudy


def job_devices(wanted: str) -> tuple[str, ...]:
    """One entry a device: every CUDA GPU, or the CPU where there is none; or just the one that is wanted.

    Raises:
        InvalidStudy: `wanted` names no kind of device.
    """
    if wanted == "auto":
        return tuple(f"cuda:{index}" for index in range(gpu_count())) or ("cpu",)
    if wanted == "cuda":
        return ("cuda:0",)
    if wanted == "cpu" or (wanted.startswith("cuda:") and wanted[5:].isdigit()):
        return (wanted,)
    raise InvalidStudy("unknown device '{wanted}': choose auto, cpu, cuda or cuda:N", wanted=wanted)


def gpu_count() -> int:
    """NVIDIA GPUs that the driver shows; 0 without a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()
