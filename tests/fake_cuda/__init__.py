"""A machine with GPUs, made up: packages `torch` and `pynvml` that a process finds before the real ones.

`FAKE_MACHINE` describes it as JSON, see `Machine`. `torch.cuda` counts and names the GPUs as the real one does under
`CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER`; `pynvml` counts all of them, in PCI order.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Gpu:
    """One GPU."""

    uuid: str
    name: str = "Fake H100"
    gb: int = 80
    capability: tuple[int, int] = (9, 0)
    slices: tuple[str, ...] = ()
    """UUIDs of its MIG slices, a seventh of its memory each."""


@dataclass(frozen=True)
class Machine:
    """GPUs in PCI order, and a build of torch."""

    gpus: tuple[Gpu, ...] = ()
    fastest_first: tuple[int, ...] = ()
    """CUDA's own order, as indices into `gpus`; PCI order where it is empty."""
    cuda: str | None = "13.0"
    """That torch is built for; None for a CPU-only build."""
    hip: str | None = None
    driver_error: str = ""
    """What initializing CUDA raises."""
    archs: tuple[str, ...] = ("sm_80", "sm_90", "compute_90")
    xpus: int = 0
    mps: bool = False

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """From now on this process and its children are on this machine."""
        from qcompare.models import devices

        for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
            patch.delenv(name, raising=False)
        patch.setenv("FAKE_MACHINE", json.dumps(asdict(self)))
        patch.setenv("PYTHONPATH", str(FOLDER))
        patch.syspath_prepend(str(FOLDER))
        patch.delitem(sys.modules, "pynvml", raising=False)
        import pynvml

        assert Path(pynvml.__file__).is_relative_to(FOLDER)
        patch.setattr("qcompare.models.probe.pynvml", pynvml)
        devices._listed.cache_clear()


EIGHT = tuple(Gpu(f"GPU-{n}aaaaaaa-0000-0000-0000-00000000000{n}") for n in range(8))
