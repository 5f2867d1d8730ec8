"""Names, shapes and sizes of the weights of a folder, read from file headers: no weight is loaded."""

import json
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qcompare.errors import ModelUnavailable
from qcompare.models.layers import Shapes
from qcompare.words import Message

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
MAX_HEADER = 100_000_000
"""Bytes; safetensors' own limit."""


@dataclass(frozen=True)
class Stored:
    """What a model's weight files say of themselves."""

    shapes: Shapes
    size_bytes: int
    """All weight files."""
    num_bytes: Mapping[str, int] = field(default_factory=dict)
    """Of each tensor; empty where headers do not say (pickled weights)."""


def read_headers(folder: Path, allow_pickled: bool) -> Stored:
    """Read the headers of a folder's weights: `model.safetensors`, or the shards that its index names.

    Raises:
        ModelUnavailable: no weights, weights in a format that can run code, a missing or damaged file.
    """
    if (folder / SINGLE).is_file():
        files = [folder / SINGLE]
    elif (folder / INDEX).is_file():
        files = [folder / name for name in _shards(folder / INDEX)]
    elif any((folder / name).is_file() for name in PICKLED):
        return _pickled(folder, allow_pickled)
    else:
        raise _no_weights(folder)
    return join_headers([read_header(file) for file in files], sum(file.stat().st_size for file in files))


def read_header(file: Path) -> dict[str, Any]:
    """The header of one safetensors file: tensor name → `dtype`, `shape`, `data_offsets`.

    Raises:
        ModelUnavailable: the file is missing, shorter than its header says, or no safetensors file.
    """
    damaged = Message("{file}: is damaged or not a safetensors file; fetch the model again", {"file": file})
    try:
        with file.open("rb") as stream:
            length = struct.unpack("<Q", stream.read(8))[0]
            if length > MAX_HEADER:
                raise ModelUnavailable(damaged)
            header: dict[str, Any] = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except FileNotFoundError:
        raise ModelUnavailable("{file}: is missing, although the model's index names it", file=file) from None
    except (OSError, struct.error, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise ModelUnavailable(damaged) from None
    if file.stat().st_size != end:
        raise ModelUnavailable(
            "{file}: has {size} bytes, expected {end}; fetch the model again",
            file=file,
            size=file.stat().st_size,
            end=end,
        )
    return header


def join_headers(headers: list[dict[str, Any]], size_bytes: int) -> Stored:
    """Several files' headers as one."""
    entries = {name: entry for header in headers for name, entry in header.items()}
    return Stored(
        shapes={name: tuple(entry["shape"]) for name, entry in entries.items()},
        size_bytes=size_bytes,
        num_bytes={
            name: offsets[1] - offsets[0] for name, entry in entries.items() if (offsets := entry.get("data_offsets"))
        },
    )


def _shards(index: Path) -> list[str]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise ModelUnavailable("{index}: is damaged; fetch the model again", index=index) from None
    if bad := [name for name in names if Path(name).name != name]:
        raise ModelUnavailable(
            "{index}: names files outside its folder ({name}); such a model is refused",
            index=index,
            name=bad[0][:80],
        )
    return names


def _no_weights(folder: Path) -> ModelUnavailable:
    others = [
        p.name for p in sorted(folder.iterdir()) if p.suffix in (".gguf", ".pt", ".pth", ".bin", ".safetensors")
    ]
    return ModelUnavailable(
        "{folder}: has no {file}{seen}; save the model with transformers' save_pretrained",
        folder=folder,
        file=SINGLE,
        seen=Message(" (it has {names})", {"names": ", ".join(others[:3])}) if others else "",
    )


def _pickled(folder: Path, allowed: bool) -> Stored:
    """Shapes inside pickled weights: only torch can tell, so a process of its own reads them."""
    if not allowed:
        raise ModelUnavailable(
            "{folder}: has pickled weights (.bin), which can run code when loaded; convert them to "
            "safetensors, or set QCOMPARE_ALLOW_UNSAFE_WEIGHTS=true if you trust where they come from",
            folder=folder,
        )
    files = sorted(folder.glob("pytorch_model*.bin"))
    code = (
        "import json,sys,torch\n"
        "for f in sys.argv[1:]:\n"
        "  t=torch.load(f,map_location='meta',weights_only=True,mmap=True)\n"
        "  print(json.dumps({k:{'shape':list(v.shape),'dtype':str(v.dtype)} for k,v in t.items()}))"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, files)], capture_output=True, encoding="utf-8")
    if done.returncode:
        raise ModelUnavailable(
            "{folder}: its pickled weights cannot be read; convert them to safetensors", folder=folder
        )
    headers = [json.loads(line) for line in done.stdout.splitlines()]
    return join_headers(headers, sum(file.stat().st_size for file in files))
