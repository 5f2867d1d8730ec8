"""Signs of life of a job's process: its CPU, memory and GPU use, every few seconds from a thread beside the work.

A process that is stopped, or hangs while it holds the interpreter, gives none; one that computes does, however long
its stage takes.
"""

import os
import threading
import time

import psutil

from qcompare.models.devices import split_ids
from qcompare.store import JobFolder
from qcompare.study.records import Pulse

BEAT_SECONDS = 2.0


def start_heartbeat(folder: JobFolder, device: str | None) -> None:
    """Beat until this process ends."""
    gpu = device if device and device.startswith("cuda") else None
    threading.Thread(target=_beat, args=[folder, gpu], name="heartbeat", daemon=True).start()


def _beat(folder: JobFolder, gpu: str | None) -> None:
    before, moment = _cpu_seconds(), time.monotonic()
    while True:
        time.sleep(BEAT_SECONDS)
        used, now = _cpu_seconds(), time.monotonic()
        percent, memory = gpu_use(gpu) if gpu is not None else (None, None)
        pulse = Pulse(
            time=time.time(),
            cpu_percent=round(100 * max(0.0, used - before) / (now - moment), 1),
            ram_bytes=sum(process.memory_info().rss for process in _family()),
            gpu_percent=percent,
            gpu_bytes=memory,
        )
        before, moment = used, now
        try:
            folder.beat(pulse)
        except OSError:
            continue  # a full disk: the work itself will say so


def gpu_use(device: str) -> tuple[float | None, int | None]:
    """Load in percent and bytes in use of a job's GPUs, by whomever; None without their driver, or where it does not
    know, as the load of a MIG slice.

    Args:
        device: the id that the job was given (`models.devices`).
    """
    import pynvml

    loads, used = [], 0
    try:
        pynvml.nvmlInit()
        for part in split_ids(device):
            handle = pynvml.nvmlDeviceGetHandleByUUID(part.partition(":")[2])
            used += int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
            try:
                loads.append(float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu))
            except pynvml.NVMLError_NotSupported:
                continue
    except pynvml.NVMLError:
        return None, None
    return (sum(loads) / len(loads) if loads else None), used


def _cpu_seconds() -> float:
    return float(sum(sum(process.cpu_times()[:2]) for process in _family()))


def _family() -> list[psutil.Process]:
    me = psutil.Process(os.getpid())
    found = [me]
    for child in me.children(recursive=True):
        try:
            child.memory_info(), child.cpu_times()
            found.append(child)
        except psutil.Error:
            continue
    return found
