"""Lists the accelerators that torch can use, as JSON: `python -m qcompare.models.probe`, run by `models.devices`.

A process of its own, because listing initializes the driver: the process that starts jobs must not, and it loads no
torch either. What is listed is what torch sees under this environment, `CUDA_VISIBLE_DEVICES` included.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import pynvml


def report() -> dict[str, Any]:
    """`devices`, each with the fields of `models.devices.Device`, and `problem`: why GPUs of the driver are unusable.

    A problem is [kind, values], see `models.devices.PROBLEMS`; None where there is none.
    """
    import torch

    devices, problem = _cuda(torch)
    devices += _xpu(torch)
    if torch.backends.mps.is_available():
        devices.append({"id": "mps", "label": "mps", "name": "Apple GPU"})
    return {"devices": devices, "problem": problem}


def _cuda(torch: Any) -> tuple[list[dict[str, Any]], list[Any] | None]:
    """CUDA and ROCm GPUs, both `cuda` to torch."""
    count = nvidia_count()
    if torch.version.cuda is None and torch.version.hip is None:
        return [], ["cpu_build", {"n": count, "torch": torch.__version__}] if count and not _hidden() else None
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        return [], ["driver", {"n": count, "reason": reason}] if count and not _hidden() else None
    found = [_gpu(torch, index) for index in range(torch.cuda.device_count())]
    if not torch.version.hip:
        found = list(_with_slices(found))
    archs = torch.cuda.get_arch_list()
    usable = [gpu for gpu in found if torch.version.hip or runs_on(gpu["capability"], archs)]
    left_out = [gpu["name"] for gpu in found if gpu not in usable]
    return usable, ["too_old", {"names": ", ".join(left_out), "torch": torch.__version__}] if left_out else None


def _gpu(torch: Any, index: int) -> dict[str, Any]:
    its = torch.cuda.get_device_properties(index)
    visible = os.environ.get("HIP_VISIBLE_DEVICES") or os.environ.get("CUDA_VISIBLE_DEVICES")
    called = visible.split(",")[index].strip() if visible else str(index)
    if not torch.version.hip:
        uuid = str(its.uuid)
        called = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
    return {
        "id": f"cuda:{called}",
        "label": f"cuda:{index}",
        "name": its.name,
        "total_bytes": its.total_memory,
        "capability": [its.major, its.minor],
    }


def _with_slices(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same; where GPUs are cut into MIG slices, of which CUDA shows a process one at most: all, by the driver."""
    gpus = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvidia_count())]
    cut = {index: slices for index, gpu in enumerate(gpus) if (slices := _slices(gpu))}
    if not cut:
        yield from found
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    wanted = None if visible is None else [entry.strip() for entry in visible.split(",")]
    listed = [(index, handle) for index, gpu in enumerate(gpus) for handle in cut.get(index, [gpu])]
    number = 0
    for index, handle in listed:
        own, parent = pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetUUID(gpus[index])
        if wanted is None or any(own.startswith(x) or parent.startswith(x) or x == str(index) for x in wanted if x):
            yield {
                "id": f"cuda:{own}",
                "label": f"cuda:{number}",
                "name": pynvml.nvmlDeviceGetName(handle),
                "total_bytes": int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
                "capability": list(pynvml.nvmlDeviceGetCudaComputeCapability(gpus[index])),
            }
            number += 1


def _slices(gpu: Any) -> list[Any]:
    try:
        if pynvml.nvmlDeviceGetMigMode(gpu)[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
            return []
    except pynvml.NVMLError:  # this GPU cannot be cut
        return []
    found = []
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        try:
            found.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index))
        except pynvml.NVMLError:  # no slice of this number
            continue
    return found


def runs_on(capability: list[int], archs: list[str]) -> bool:
    """Whether a build of torch has code for a GPU: compiled for its generation, or for an earlier one as PTX.

    Args:
        capability: major and minor.
        archs: `torch.cuda.get_arch_list()`, such as `sm_90`, `compute_90`.
    """
    major, minor = capability
    for arch in archs:
        kind, _, number = arch.partition("_")
        digits = number.rstrip("af")
        of = int(digits[:-1]), int(digits[-1])
        if (kind == "compute" and of <= (major, minor)) or (kind == "sm" and of[0] == major and of[1] <= minor):
            return True
    return not archs


def _xpu(torch: Any) -> list[dict[str, Any]]:
    if not (hasattr(torch, "xpu") and torch.xpu.is_available()):
        return []
    mask = os.environ.get("ZE_AFFINITY_MASK", "").split(",")
    found = []
    for index in range(torch.xpu.device_count()):
        its = torch.xpu.get_device_properties(index)
        called = mask[index].strip() if len(mask) > index and mask[index] else str(index)
        found.append(
            {"id": f"xpu:{called}", "label": f"xpu:{index}", "name": its.name, "total_bytes": its.total_memory}
        )
    return found


def nvidia_count() -> int:
    """GPUs that NVIDIA's driver shows, whatever this environment may use; 0 without a driver."""
    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0


def _hidden() -> bool:
    """The environment hides all GPUs on purpose."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")


if __name__ == "__main__":
    print(json.dumps(report()))
