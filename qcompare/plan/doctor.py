"""Is this machine fit? One finding a line, each with what to do about it."""

import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from qcompare.errors import QCompareError
from qcompare.settings import Settings

MIN_FREE_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    text: str


def findings(settings: Settings) -> Iterator[Finding]:
    """Look at everything a job needs. Loads torch, once, as a job would."""
    yield Finding("python", True, f"{platform.python_version()} on {platform.platform()}")
    yield _libraries()
    device, finding = _device(settings)
    yield finding
    yield from _gpus()
    yield _compiler(device)
    yield _disk(settings)
    yield _hub(settings)
    yield _demo(settings)


def _libraries() -> Finding:
    from qcompare.models.environment import LIBRARIES, library_versions

    found = library_versions()
    missing = [name for name in LIBRARIES if name not in found]
    if missing:
        return Finding("libraries", False, f"missing: {', '.join(missing)}; install requirements.txt")
    return Finding("libraries", True, ", ".join(f"{name} {version}" for name, version in found.items()))


def _device(settings: Settings) -> tuple[str, Finding]:
    """Where jobs run, as torch names it, and the line that says it."""
    from qcompare.models.machine import device_name, pick_device, pick_dtype

    try:
        device = pick_device(settings.device, None)
        dtype = pick_dtype(device, settings.dtype)
    except QCompareError as error:
        return settings.device, Finding("device", False, str(error))
    return device, Finding("device", True, f"{device} ({device_name(device)}), computes in {dtype}")


def _gpus() -> Iterator[Finding]:
    """Those that jobs can be given, and why others cannot be used."""
    from qcompare.models.devices import accelerators

    found = accelerators()
    if found.problem:
        yield Finding("GPU", False, str(found.problem))
    if found.devices:
        listed = (f"{each.label} ({each.name}, {(each.total_bytes or 0) / 1e9:.3g} GB)" for each in found.devices)
        yield Finding("GPUs", True, ", ".join(listed))


def _compiler(device: str) -> Finding:
    from qcompare.formats.compiling import missing_for_compiling

    if not device.startswith("cuda"):
        return Finding("compiler", True, f"not needed on {device}")
    if not (missing := missing_for_compiling()):
        return Finding("compiler", True, "simulated formats run at full speed")
    text = f"missing: {', '.join(missing)}: simulated formats run correctly but slowly; installing it helps"
    return Finding("compiler", True, text)


def _disk(settings: Settings) -> Finding:
    settings.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free
    text = f"{free / 1e9:.1f} GB free under {settings.home}"
    return Finding("disk", free >= MIN_FREE_BYTES, text if free >= MIN_FREE_BYTES else f"{text}: free at least 2 GB")


def _hub(settings: Settings) -> Finding:
    from qcompare.models.hub import hub_reachable

    if settings.offline:
        return Finding("hub", True, "not asked (offline): 'demo' and local folders work")
    if hub_reachable(settings):
        return Finding("hub", True, "in reach")
    return Finding("hub", True, "not in reach: 'demo' and local folders work")


def _demo(settings: Settings) -> Finding:
    from qcompare.demo.bundle import discard, ready, verify

    if not ready(settings):
        return Finding("demo", True, "not fetched yet: the first demo job does it (about 180 MB)")
    broken = verify(settings)
    if broken:
        discard(settings)
        return Finding("demo", False, f"{broken[0]}; removed: the next demo job fetches it anew")
    return Finding("demo", True, f"complete in {settings.demo_dir}")
