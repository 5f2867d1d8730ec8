"""How much memory and disk this machine has, how much of it is free, and who holds the rest."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from qcompare.models.devices import describe_device, split_ids
from qcompare.words import Message, verbatim

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""The limit of a container, where there is one: less than the machine's memory."""


@dataclass(frozen=True)
class Holder:
    """A process that holds GPU memory."""

    pid: int
    name: Message
    num_bytes: int


@dataclass(frozen=True)
class Capacity:
    """Of one device."""

    total_bytes: int
    free_bytes: int
    holders: tuple[Holder, ...] = ()
    """Largest first; GPUs only."""


def ram() -> Capacity:
    """The machine's memory, or its container's."""
    memory = psutil.virtual_memory()
    total, free = int(memory.total), int(memory.available)
    try:
        limit = int(CGROUP_LIMIT.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or "max"
        return Capacity(total, free)
    return Capacity(min(total, limit), min(free, limit))


def of_device(device: str) -> Capacity:
    """Memory of the devices that a job is given (`models.devices`): of GPUs, asked by their UUIDs; else RAM."""
    if device.partition(":")[0] not in ("cuda", "xpu"):
        return ram()
    found = [_of_gpu(part) for part in split_ids(device)]
    holders = sorted((holder for each in found for holder in each.holders), key=lambda holder: -holder.num_bytes)
    return Capacity(sum(x.total_bytes for x in found), sum(x.free_bytes for x in found), tuple(holders))


def _of_gpu(device: str) -> Capacity:
    import pynvml

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(device.partition(":")[2])
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    except pynvml.NVMLError:  # not NVIDIA's: what torch said when it listed them
        total = describe_device(device).total_bytes
        return Capacity(total, total) if total else ram()
    try:
        running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:  # no right to know
        running = []
    holders = [Holder(each.pid, _name(each.pid), int(each.usedGpuMemory or 0)) for each in running]
    return Capacity(int(memory.total), int(memory.free), tuple(holders))


def free_disk(folder: Path) -> int:
    """Bytes free where a folder is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _name(pid: int) -> Message:
    try:
        return verbatim(psutil.Process(pid).name())
    except psutil.Error:  # of another container or user
        return Message("another process")
