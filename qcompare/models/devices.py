"""Devices that jobs may use, found without loading torch: a short process of its own lists them (`models.probe`).

A job is given the id of a device, which holds whatever order the driver and the environment count in: a GPU's UUID.
Its process sees that device only (`environment_of`), as `cuda:0`, so that libraries which always take the first GPU
take the right one; a job on the CPU sees none.
"""

import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from os import environ, pathsep
from pathlib import Path

from qcompare.errors import InvalidStudy
from qcompare.models.probe import nvidia_count
from qcompare.words import Message, gettext_noop, verbatim

PROBE_SECONDS = 180.0
PROBLEMS = {
    "cpu_build": gettext_noop(
        "the driver shows {n} GPUs, but torch {torch} is a build without CUDA: install one with CUDA"
    ),
    "driver": gettext_noop("the driver shows {n} GPUs, but torch cannot use them: {reason}"),
    "too_old": gettext_noop("torch {torch} has no code for {names}: install a build of torch that supports it"),
}
"""Why GPUs are not used."""
SEPARATOR = ","
"""Between the GPUs of a job that holds several."""


@dataclass(frozen=True)
class Device:
    """One that jobs may use."""

    id: str
    """As jobs are given it: `cuda:` and the driver's name (a UUID; on ROCm a number), `xpu:N`, `mps` or `cpu`."""
    label: str
    """As torch names it where all are visible, for people: `cuda:1`."""
    name: str = ""
    total_bytes: int | None = None
    """Of its own memory; None where it uses the machine's."""
    capability: tuple[int, int] | None = None
    """CUDA's compute capability."""

    @property
    def kind(self) -> str:
        """`cuda`, `xpu`, `mps` or `cpu`."""
        return self.id.partition(":")[0]


CPU = Device("cpu", "cpu")


@dataclass(frozen=True)
class Accelerators:
    """What was found on this machine."""

    devices: tuple[Device, ...] = ()
    """Accelerators only."""
    problem: Message | None = None
    """Why GPUs that the driver shows are not among them."""


def job_devices(wanted: str) -> tuple[str, ...]:
    """Ids of the devices that take one job each: every GPU, or the CPU where there is none; or just the one wanted.

    `auto` takes CUDA's and ROCm's GPUs, else XPUs. MPS must be asked for.

    Raises:
        InvalidStudy: `wanted` names no kind of device, or one that is not here.
    """
    kind, _, index = wanted.partition(":")
    if wanted == "cpu":
        return ("cpu",)
    if kind not in ("auto", "cuda", "xpu", "mps") or not (index == "" or index.isdigit()):
        raise InvalidStudy(
            "unknown device '{wanted}': choose auto, cpu, cuda, cuda:N, xpu, xpu:N or mps", wanted=wanted
        )
    found = accelerators(asked=wanted != "auto")
    if wanted == "auto":
        kinds = [[device.id for device in found.devices if device.kind == each] for each in ("cuda", "xpu")]
        return tuple(next(filter(None, kinds), ["cpu"]))
    its = [device.id for device in found.devices if device.kind == kind]
    if int(index or 0) >= len(its):
        raise InvalidStudy(
            "device {device} does not exist: {reason}; set device to auto or cpu",
            device=wanted,
            reason=found.problem or Message("torch sees {n} such devices", {"n": len(its)}),
        )
    return (its[int(index or 0)],)


def accelerators(asked: bool = False) -> Accelerators:
    """All accelerators that torch can use here; listed once a process.

    Args:
        asked: also where nothing points to one.
    """
    if not (asked or _may_exist()):
        return Accelerators()
    return _listed(*(environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")))


@lru_cache(maxsize=4)
def _listed(*visible: str | None) -> Accelerators:
    root = str(Path(__file__).resolve().parents[2])
    path = pathsep.join(filter(None, [environ.get("PYTHONPATH"), root]))
    command = [sys.executable, "-W", "ignore", "-m", "qcompare.models.probe"]
    try:
        done = subprocess.run(
            command,
            env={**environ, "PYTHONPATH": path, "PYTHONUTF8": "1"},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PROBE_SECONDS,
            check=True,
        )
        values = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, OSError, ValueError, IndexError) as error:
        said = getattr(error, "stderr", None) or str(error)
        reason = str(said).strip().splitlines()[-1][:300]
        return Accelerators(problem=Message("torch cannot list the GPUs: {reason}", {"reason": verbatim(reason)}))
    devices = [
        Device(**{**each, "capability": tuple(each["capability"]) if each.get("capability") else None})
        for each in values["devices"]
    ]
    problem = values["problem"] and Message(PROBLEMS[values["problem"][0]], values["problem"][1])
    return Accelerators(tuple(devices), problem)


def _may_exist() -> bool:
    """Something points to an accelerator: only then is torch loaded to list them."""
    if nvidia_count() or Path("/dev/kfd").exists():
        return True
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    vendors = Path("/sys/class/drm").glob("renderD*/device/vendor")
    return any(vendor.read_text(encoding="ascii").strip() == "0x8086" for vendor in vendors)


def describe_device(id: str) -> Device:
    """What is known of a device that a job was given; of several GPUs together, their names and all their memory."""
    known = {device.id: device for device in accelerators(asked=id != "cpu").devices}
    its = [known.get(part, Device(part, part)) for part in split_ids(id)]
    if len(its) == 1:
        return CPU if id == "cpu" else its[0]
    sizes = [device.total_bytes for device in its if device.total_bytes]
    return Device(
        id,
        "+".join(device.label for device in its),
        f"{len(its)} × {its[0].name}",
        sum(sizes) if len(sizes) == len(its) else None,
        its[0].capability,
    )


def join_ids(ids: tuple[str, ...]) -> str:
    """The id of several GPUs of a kind that one job holds."""
    kind = ids[0].partition(":")[0]
    return ids[0] if len(ids) == 1 else f"{kind}:{SEPARATOR.join(each.partition(':')[2] for each in ids)}"


def split_ids(id: str) -> tuple[str, ...]:
    """The devices behind an id: the reverse of `join_ids`."""
    kind, _, its = id.partition(":")
    return tuple(f"{kind}:{each}" for each in its.split(SEPARATOR)) if its else (id,)


def environment_of(id: str) -> Mapping[str, str]:
    """Environment of a process that is to see one device, or those of one job, and no other; before CUDA begins.

    Nothing for a device that only its executor knows.
    """
    kind, _, its = id.partition(":")
    if kind == "cuda":
        return {"CUDA_VISIBLE_DEVICES": its, "HIP_VISIBLE_DEVICES": its}
    none = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "-1"}
    return {"cpu": none, "mps": none, "xpu": none | {"ZE_AFFINITY_MASK": its}}.get(kind, {})
