"""As much of torch as listing devices takes, on a made-up machine."""

import json
import os
from types import SimpleNamespace

MACHINE = json.loads(os.environ["FAKE_MACHINE"])
__version__ = "2.99.0+fake"


def _visible():
    gpus = MACHINE["gpus"]
    order = MACHINE["fastest_first"] if os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID" else ()
    gpus = [gpus[index] for index in order] or gpus
    slices = [{**gpu, "uuid": one, "gb": gpu["gb"] / 7, "slices": ()} for gpu in gpus for one in gpu["slices"]]
    name = "HIP_VISIBLE_DEVICES" if MACHINE["hip"] else "CUDA_VISIBLE_DEVICES"
    wanted = os.environ.get(name)
    if wanted is None:
        return slices[:1] or gpus  # CUDA shows a process one slice at most
    found = []
    for entry in wanted.split(","):
        chosen = [
            gpu for index, gpu in enumerate(gpus) if entry == str(index) or (entry and gpu["uuid"].startswith(entry))
        ]
        chosen += [one for one in slices if entry and one["uuid"].startswith(entry)]
        if not chosen:  # as CUDA: what follows an unknown entry is hidden too
            break
        found += [next((one for one in slices if one["uuid"] in gpu["slices"]), gpu) for gpu in chosen]
    return found[:1] if any(gpu["uuid"].startswith("MIG-") for gpu in found) else found


def _init():
    if MACHINE["driver_error"]:
        raise RuntimeError(MACHINE["driver_error"])
    if not _visible():
        raise RuntimeError("No CUDA GPUs are available")


def _properties(index):
    gpu = _visible()[index]
    major, minor = gpu["capability"]
    return SimpleNamespace(
        uuid=gpu["uuid"].removeprefix("GPU-"), name=gpu["name"], total_memory=int(gpu["gb"] * 1e9),
        major=major, minor=minor,
    )  # fmt: skip


version = SimpleNamespace(cuda=MACHINE["cuda"], hip=MACHINE["hip"])
cuda = SimpleNamespace(
    init=_init,
    is_available=lambda: bool(MACHINE["cuda"] and not MACHINE["driver_error"] and _visible()),
    device_count=lambda: len(_visible()),
    get_device_properties=_properties,
    get_arch_list=lambda: MACHINE["archs"],
)
xpu = SimpleNamespace(
    is_available=lambda: MACHINE["xpus"] > 0,
    device_count=lambda: MACHINE["xpus"],
    get_device_properties=lambda index: SimpleNamespace(name="Fake Arc", total_memory=int(16e9)),
)
mps = SimpleNamespace(is_available=lambda: MACHINE["mps"], device_count=lambda: int(MACHINE["mps"]))
backends = SimpleNamespace(mps=mps)
