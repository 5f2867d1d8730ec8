"""Formats and their schemes: what can stand in a study, as plain data.

A scheme is a named layer format (`MXFP4`); a format is a family of schemes that one checkpoint can hold. The formats
themselves are in `qcompare/formats/`, one file each: adding one is a file there and a line in `FORMATS`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from qcompare.errors import InvalidStudy, unknown
from qcompare.registry import Registry
from qcompare.study.layers import LinearLayer
from qcompare.words import gettext_noop

Rounding = Callable[..., Any]
"""Rounds a tensor of shape (rows, features) to a scheme, in groups along the features; same shape and dtype. That of
weights also takes what `Format.shared_settings` found for the layer."""
UNQUANTIZED = "BF16"
"""The scheme of layers that stay as they are; it can be mixed with any format."""


@dataclass(frozen=True)
class Scheme:
    """A named layer format."""

    name: str
    format: str
    """Name of the format that it belongs to; empty for `UNQUANTIZED`."""
    bits: int
    """Bits of one stored weight."""
    group_size: int
    """Weights that share one scale, along a layer's inputs."""
    scale_bits: int
    """Bits of one scale, its zero point included."""
    text: str
    """One plain sentence for the screen; may name `{bits}` and `{group_size}`."""
    group_rows: int = 1
    """Outputs that share a scale too, where scales belong to blocks."""
    packed: bool = True
    """A checkpoint can hold it: there are kernels that load it."""

    @property
    def stored_bits(self) -> float:
        """Bits of one stored weight, its share of the scales included."""
        return self.bits + self.scale_bits / (self.group_size * self.group_rows)


@dataclass(frozen=True)
class SchemeChoice:
    """Schemes that the screen offers together, lowest bits first."""

    schemes: tuple[str, ...]
    text: str
    """Their names, and on a second line one plain sentence."""


class Format:
    """A family of schemes that are computed alike; one checkpoint can hold mixes of them."""

    name: ClassVar[str]
    title: ClassVar[str]
    schemes: ClassVar[tuple[Scheme, ...]]
    exports: ClassVar[tuple[str, ...]]
    """Checkpoint formats that hold its schemes; see `CHECKPOINT_FORMATS`."""
    choices: ClassVar[tuple[SchemeChoice, ...]] = ()
    """Mixes that the screen offers; a study file may name others."""
    holds_embeddings: ClassVar[bool] = False
    """An embedding may be in its schemes: they round weights only."""
    calibrates_inputs: ClassVar[bool] = False
    """Activations are rounded on a scale from calibration text, stored with the checkpoint."""

    def check(self, schemes: Sequence[Scheme], layers: Sequence[LinearLayer]) -> None:
        """Refuse schemes (all of this format) that a layer's shape does not allow.

        Raises:
            InvalidStudy: names the layer, its size, and what works.
        """

    def definition(self, scheme: Scheme) -> Mapping[str, Any]:
        """The scheme field by field, as the library that computes it defines it; part of cache keys."""
        raise NotImplementedError(f"{self.name} defines no schemes for a library")

    def weight_rounding(self, scheme: Scheme) -> Rounding:
        """Plain round-to-nearest of weights of shape (out_features, in_features)."""
        raise NotImplementedError(f"{self.name} is not simulated")

    def shared_settings(self, layers: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        """What the rounding of a layer's weights needs to know of other layers: layer name → keyword → value.

        Args:
            layers: the linear layers of a model in this format, by full name.
        """
        return {}

    def activation_rounding(self, scheme: Scheme, maximum: float | None = None) -> Rounding | None:
        """Rounding of a layer's inputs of shape (rows, in_features); None where they stay as they are.

        Args:
            maximum: the layer's largest absolute input on the calibration text, for formats that `calibrates_inputs`;
                None takes that of each tensor.
        """
        return None


FORMATS: Registry[Format] = Registry(
    "qcompare.formats",
    gettext_noop("format"),
    {
        "mxfp": "qcompare.formats.mxfp:MXFP",
        "mxfp_rceil": "qcompare.formats.mxfp:MXFP_RCEIL",
        "nvfp": "qcompare.formats.nvfp:NVFP",
        "int": "qcompare.formats.integer:INTEGER",
        "w8a8": "qcompare.formats.w8a8:W8A8",
        "gguf": "qcompare.formats.gguf:GGUF",
    },
)
CHECKPOINT_FORMATS = ("auto_round", "llm_compressor", "gguf")
"""auto-round's own, compressed-tensors, and one file for llama.cpp."""
HOLDS_SEVERAL = ("llm_compressor",)
"""Those that describe each group of layers apart, and so hold schemes of several formats at once."""
_BF16 = Scheme(UNQUANTIZED, "", 16, 1, 0, gettext_noop("Layers stay as they are."))


class _Schemes(Mapping[str, Scheme]):
    """The schemes of all formats by name, in the order of `FORMATS`; `UNQUANTIZED` is the last."""

    @cached_property
    def _found(self) -> dict[str, Scheme]:
        schemes = (scheme for format in FORMATS.values() for scheme in format.schemes)
        return {scheme.name: scheme for scheme in (*schemes, _BF16)}

    def __getitem__(self, name: str) -> Scheme:
        """
        Raises:
            InvalidStudy: there is no such scheme.
        """
        if name not in self._found:
            raise InvalidStudy(unknown(gettext_noop("scheme"), name, self._found))
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


SCHEMES: Mapping[str, Scheme] = _Schemes()


def format_of(scheme: str) -> Format | None:
    """The format of a scheme; None for `UNQUANTIZED`.

    Raises:
        InvalidStudy: there is no such scheme.
    """
    name = SCHEMES[scheme].format
    return FORMATS[name] if name else None


def checkpoint_formats(schemes: Iterable[str]) -> tuple[str, ...]:
    """Checkpoint formats that hold a mix of these schemes: the one rule of what can be mixed.

    Raises:
        InvalidStudy: there is no such scheme.
    """
    formats = {format.name: format for name in schemes if (format := format_of(name))}
    candidates = CHECKPOINT_FORMATS if len(formats) < 2 else HOLDS_SEVERAL
    return tuple(each for each in candidates if all(each in format.exports for format in formats.values()))


def quantized(layer_config: Mapping[str, str]) -> dict[str, str]:
    """The layers of a layer config that do not stay at 16 bits."""
    return {name: scheme for name, scheme in layer_config.items() if scheme != UNQUANTIZED}


def scheme_definitions(names: Iterable[str]) -> dict[str, Any]:
    """Schemes, field by field, as the libraries that compute them define them: part of cache keys."""
    formats = {name: format_of(name) for name in sorted(set(names))}
    return {name: dict(format.definition(SCHEMES[name])) for name, format in formats.items() if format}
