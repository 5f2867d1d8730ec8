"""On Progress: how full the GPUs are, and who holds their memory. Nothing on a machine without one."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcompare.errors import QCompareError
from qcompare.jobs.executors.processes import owner
from qcompare.models.devices import describe_device, job_devices
from qcompare.plan.capacity import Capacity, of_device
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Status
from qcompare.ui.pages import page
from qcompare.ui.parts import PageState, Panel, live_markup
from qcompare.ui.server.roles import visitor
from qcompare.ui.shared import Memory
from qcompare.words import translate

LOOK_SECONDS = 5.0
NAMED = 4
"""Largest holders that are named."""
LOOKS = Memory(1)
"""All browsers share one look at the driver."""


@dataclass(frozen=True)
class Holding:
    """Memory that a process holds."""

    name: str
    num_bytes: int


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine, now."""

    name: str
    used_bytes: int
    total_bytes: int
    ours: tuple[Holding, ...]
    """Jobs of this home."""
    others: tuple[Holding, ...]


def build_devices(settings: Settings) -> Panel:
    """Lay out the lines in the current page."""

    def look(state: PageState) -> tuple[Gpu, ...]:
        if visitor().limited:  # what else runs on the machine is nothing for strangers
            return ()
        moment = int(time.monotonic() / LOOK_SECONDS)
        return LOOKS.answer((settings.home, moment), lambda: read_gpus(state.store, settings))

    def show(state: PageState) -> list[Any]:
        return [page("devices", gpus=look(state), named=NAMED)]

    return Panel("devices", [live_markup("devices", elem_id="qc-devices")], look, show, live=True)


def read_gpus(store: Store, settings: Settings) -> tuple[Gpu, ...]:
    """The GPUs that jobs of this home may use."""
    try:
        devices = [device for device in job_devices(settings.device) if device.startswith(("cuda", "xpu"))]
    except QCompareError:
        return ()
    if not devices:
        return ()
    jobs = {job.id: job.recipe for job in store.jobs(status=Status.RUNNING, exports=True)}
    return tuple(_gpu(device, of_device(device), jobs, store.home) for device in devices)


def device_title(device: str) -> str:
    """A device for people: "GPU 1 (NVIDIA H100)"."""
    found = describe_device(device)
    number = found.label.replace("cuda:", "").replace("xpu:", "")
    return f"GPU {number} ({found.name})" if found.name else f"GPU {number}"


def _gpu(device: str, has: Capacity, jobs: dict[str, str], home: Path) -> Gpu:
    recipes = [(each, jobs.get(owner(each.pid, home) or "")) for each in has.holders]
    ours = tuple(Holding(recipe, each.num_bytes) for each, recipe in recipes if recipe)
    others = tuple(
        Holding(f"{translate(each.name)} (pid {each.pid})", each.num_bytes) for each, recipe in recipes if not recipe
    )
    return Gpu(device_title(device), has.total_bytes - has.free_bytes, has.total_bytes, ours, others)
