"""GGUF files: what their headers say, read without torch, and their weights as a transformers model.

transformers reads a file three times, through a reader that makes arrays of every word of the vocabulary, and looks
up the names of all layers for each of them: 20 to 37 s for 135 M weights. Here the header is read once, and weights
are dequantized by the gguf package straight into a model of the original's config. The names and orders of tensors
are those of the package and of transformers' own tables (`modeling_gguf_pytorch_utils.py`, read in 5.17).
"""

import mmap
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from qcompare.errors import ModelUnavailable
from qcompare.words import Message, gettext_noop

MAGIC, VERSIONS = b"GGUF", (2, 3)
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Value type → its `struct` format; the others are 8, a string, and 9, an array."""
ALIGNMENT = 32
"""Of the weights, where the file does not say."""
MAX_DIMENSIONS = 8
SUFFIX = re.compile(r"\.(weight|bias)$")
UNREAD = frozenset({"gpt_oss"})
"""Families whose experts lie in files in an order that is not undone here."""
EXPERT = re.compile(r"(\.experts)\.\d+\.")


@dataclass(frozen=True)
class GgufTensor:
    """Where one tensor is in the file."""

    name: str
    """As llama.cpp calls it: `blk.0.attn_q.weight`."""
    shape: tuple[int, ...]
    """In torch's order: (out_features, in_features)."""
    type: int
    """`gguf.GGMLQuantizationType`."""
    start: int
    """Bytes from the start of the file."""
    num_bytes: int

    @property
    def type_name(self) -> str:
        """`Q4_K`, `F32`, …"""
        from gguf import GGMLQuantizationType

        return str(GGMLQuantizationType(self.type).name)


@dataclass(frozen=True)
class GgufFile:
    """The header of a GGUF file."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: tuple[GgufTensor, ...]

    @property
    def architecture(self) -> str:
        """As llama.cpp calls it: `llama`, `qwen2`, …"""
        return str(self.metadata.get("general.architecture", ""))

    def value(self, key: str) -> Any:
        """A value of the file's architecture: `block_count`, `embedding_length`, …; None where it does not say."""
        return self.metadata.get(f"{self.architecture}.{key}")

    @cached_property
    def tokens(self) -> list[str]:
        """The vocabulary, by token id."""
        return list(self.metadata.get("tokenizer.ggml.tokens", ()))

    @cached_property
    def file_type(self) -> str:
        """`Q4_K_M`: what most of its weights are in."""
        from gguf import LlamaFileType

        try:
            name = str(LlamaFileType(self.metadata["general.file_type"]).name)
        except (KeyError, ValueError):
            return max(self.tensors, key=lambda tensor: tensor.num_bytes).type_name
        return name.removeprefix("MOSTLY_").removeprefix("ALL_")


def read_gguf(path: Path) -> GgufFile:
    """The header of a file; no weight is read.

    Raises:
        ModelUnavailable: it cannot be read, is no GGUF file, is damaged or cut off, or is one part of several.
    """
    from gguf import GGML_QUANT_SIZES

    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            metadata, tensors = _read(content, GGML_QUANT_SIZES)  # type: ignore[arg-type]
            size = len(content)
    except OSError as error:
        raise ModelUnavailable("{file}: cannot be read ({reason})", file=path, reason=error.strerror) from None
    except (struct.error, ValueError, IndexError, KeyError, OverflowError, MemoryError):
        raise ModelUnavailable(_damaged(path)) from None
    if (parts := metadata.get("split.count", 0)) > 1:
        raise ModelUnavailable(
            "{file}: is one of {n} parts; join them with llama-gguf-split --merge, and name the whole",
            file=path,
            n=parts,
        )
    end = max((tensor.start + tensor.num_bytes for tensor in tensors), default=0)
    if not tensors or size < end:
        raise ModelUnavailable(
            "{file}: is truncated: it has {size} bytes, but its header requires {end}; download it again",
            file=path,
            size=size,
            end=end,
        )
    return GgufFile(path, metadata, tensors)


def _damaged(path: Path) -> Message:
    with path.open("rb") as file:
        if file.read(4) == MAGIC:
            text = gettext_noop("{file}: is a damaged GGUF file, or one of an unknown version; fetch it again")
            return Message(text, {"file": path})
    return Message("{file}: is no GGUF file; give a .gguf file or a model folder", {"file": path})


def _read(
    content: bytes, block_sizes: Mapping[int, tuple[int, int]]
) -> tuple[dict[str, Any], tuple[GgufTensor, ...]]:
    magic, version, num_tensors, num_values = struct.unpack_from("<4sIQQ", content)
    if magic != MAGIC or version not in VERSIONS:
        raise ValueError
    at, metadata = 24, {}
    for _ in range(num_values):
        key, at = _string(content, at)
        (kind,) = struct.unpack_from("<I", content, at)
        metadata[key], at = _value(content, at + 4, kind)
    found = []
    for _ in range(num_tensors):
        name, at = _string(content, at)
        (dimensions,) = struct.unpack_from("<I", content, at)
        if dimensions > MAX_DIMENSIONS:
            raise ValueError
        *shape, kind, offset = struct.unpack_from(f"<{dimensions}QIQ", content, at + 4)
        at += 16 + 8 * dimensions
        block, block_bytes = block_sizes[kind]
        found.append((name, tuple(reversed(shape)), kind, offset, prod(shape) // block * block_bytes))
    alignment = metadata.get("general.alignment", ALIGNMENT)
    start = -(-at // alignment) * alignment
    return metadata, tuple(
        GgufTensor(name, shape, kind, start + offset, size) for name, shape, kind, offset, size in found
    )


def _string(content: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", content, at)
    end = at + 8 + length
    if end > len(content):
        raise ValueError
    return content[at + 8 : end].decode("utf-8", errors="replace"), end


def _value(content: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in SCALARS:
        (value,) = struct.unpack_from("<" + SCALARS[kind], content, at)
        return value, at + struct.calcsize("<" + SCALARS[kind])
    if kind == 8:
        return _string(content, at)
    if kind != 9:
        raise ValueError
    kind, count = struct.unpack_from("<IQ", content, at)
    at += 12
    if kind in SCALARS:
        numbers = f"<{count}{SCALARS[kind]}"
        return list(struct.unpack_from(numbers, content, at)), at + struct.calcsize(numbers)
    values = []
    for _ in range(count):
        value, at = _value(content, at, kind)
        values.append(value)
    return values, at


def nominal_bits(type_name: str) -> int:
    """Bits of a stored weight without its scales: 4 for `Q4_K`."""
    match = re.search(r"\d+", type_name)
    return int(match[0]) if match else 0


def tensor_names(file: GgufFile, names: Iterable[str]) -> dict[str, str]:
    """llama.cpp's name → transformers', of those parameters that the gguf package knows in this architecture."""
    short_name = _short_names(file.architecture, int(file.value("block_count") or 0))
    parts = ((name, SUFFIX.sub("", name)) for name in names)
    return {f"{short}{name[len(stem) :]}": name for name, stem in parts if (short := short_name(stem))}


def layer_tensors(architecture: str, num_blocks: int, layers: Iterable[str]) -> dict[str, str]:
    """Full name of a linear layer → llama.cpp's name of its weights, of layers that the gguf package knows in this
    architecture. The experts of a block share one tensor for each of their layers."""
    short_name = _short_names(architecture, num_blocks)
    return {name: f"{short}.weight" for name in layers if (short := short_name(EXPERT.sub(r"\1.", name)))}


def layer_types(file: GgufFile, layers: Iterable[str]) -> dict[str, str]:
    """Full name of a linear layer → the type of its weights, of layers that the file names."""
    types = {tensor.name: tensor.type_name for tensor in file.tensors}
    names = layer_tensors(file.architecture, int(file.value("block_count") or 0), layers)
    return {layer: types[name] for layer, name in names.items() if name in types}


def _short_names(architecture: str, num_blocks: int) -> Callable[[str], str | None]:
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    known = [key for key, name in MODEL_ARCH_NAMES.items() if name == architecture]
    return get_tensor_name_map(known[0], num_blocks).get_name if known else lambda name: None


def read_tensors(file: GgufFile, config: Any, dtype: str, report: Callable[[int, int], None]) -> dict[str, Any]:
    """The weights of a file, dequantized, by transformers' names.

    Args:
        config: transformers' config of the model.
        dtype: torch's dtype of the weights.
        report: told (tensors done, tensors in all).
    """
    import numpy as np
    import torch
    from gguf import dequantize
    from transformers import AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, Qwen2MoeTensorProcessor, TensorProcessor

    with torch.device("meta"):
        expected = AutoModelForCausalLM.from_config(config).state_dict()
    processor = TENSOR_PROCESSORS.get(file.architecture, TensorProcessor)(config=config.to_dict())
    experts = Qwen2MoeTensorProcessor(config=config.to_dict())  # transformers knows those of some families only
    names = tensor_names(file, map(processor.preprocess_name, expected))
    for name in expected:
        if name not in names.values():  # fused experts, which llama.cpp splits
            suffix = SUFFIX.search(name)
            for each in (processor, experts):
                each.perform_fallback_tensor_mapping(names, suffix[0] if suffix else "", "", name)
    found: dict[str, Any] = {"tensors": {}}
    content = np.memmap(file.path, mode="r", dtype=np.uint8)
    for done, tensor in enumerate(file.tensors, start=1):
        stored = content[tensor.start : tensor.start + tensor.num_bytes].reshape(*tensor.shape[:-1], -1)
        weights = dequantize(stored, tensor.type).reshape(tensor.shape)
        its = processor.process(weights, tensor.name, tensor_key_mapping=names, parsed_parameters=found)
        if its.name == tensor.name and "_exps." in tensor.name:
            its = experts.process(its.weights, its.name, tensor_key_mapping=names, parsed_parameters=found)
        if name := names.get(its.name):
            values = torch.from_numpy(np.array(its.weights)).to(getattr(torch, dtype))
            # a row of a matrix is held as one, or as a vector
            found["tensors"][name] = values.squeeze().unsqueeze(0) if expected[name].shape[0] == 1 else values
        report(done, len(file.tensors))
    tensors: dict[str, Any] = found["tensors"]
    return tensors
