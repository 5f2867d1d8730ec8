"""NVML of a made-up machine: every GPU, in PCI order, whatever the environment shows CUDA."""

import json
import os
from types import SimpleNamespace

NVML_DEVICE_MIG_ENABLE = 1
GPUS = json.loads(os.environ["FAKE_MACHINE"])["gpus"]


class NVMLError(Exception):
    pass


class NVMLError_NotSupported(NVMLError):
    pass


def nvmlInit() -> None:
    if not _gpus():
        raise NVMLError("no driver")


def _gpus() -> list[dict[str, object]]:
    return json.loads(os.environ["FAKE_MACHINE"])["gpus"]


def _slice(gpu, uuid):
    return {**gpu, "uuid": uuid, "name": f"{gpu['name']} MIG 1g", "gb": gpu["gb"] / 7, "slices": (), "slice": True}


def nvmlDeviceGetCount() -> int:
    return len(_gpus())


def nvmlDeviceGetHandleByIndex(index):
    return _gpus()[index]


def nvmlDeviceGetHandleByUUID(uuid):
    for gpu in _gpus():
        for each in (gpu, *(_slice(gpu, one) for one in gpu["slices"])):
            if each["uuid"] == uuid:
                return each
    raise NVMLError(f"no {uuid}")


def nvmlDeviceGetUUID(gpu):
    return gpu["uuid"]


def nvmlDeviceGetName(gpu):
    return gpu["name"]


def nvmlDeviceGetCudaComputeCapability(gpu):
    return tuple(gpu["capability"])


def nvmlDeviceGetMemoryInfo(gpu):
    total = int(gpu["gb"] * 1e9)
    used = int(1e9) * (1 + int(gpu["uuid"][4]))
    return SimpleNamespace(total=total, used=used, free=total - used)


def nvmlDeviceGetComputeRunningProcesses(gpu):
    return []


def nvmlDeviceGetUtilizationRates(gpu):
    if "slice" in gpu:
        raise NVMLError_NotSupported
    return SimpleNamespace(gpu=10 * int(gpu["uuid"][4]))


def nvmlDeviceGetMigMode(gpu):
    if gpu["capability"] < [8, 0]:
        raise NVMLError_NotSupported
    return [int(bool(gpu["slices"]))] * 2


def nvmlDeviceGetMaxMigDeviceCount(gpu):
    return 7


def nvmlDeviceGetMigDeviceHandleByIndex(gpu, index):
    if index >= len(gpu["slices"]):
        raise NVMLError("not found")
    return _slice(gpu, gpu["slices"][index])
