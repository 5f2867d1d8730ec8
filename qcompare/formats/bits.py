"""All counting of bits, in auto-round's convention (`auto_round.auto_scheme.utils.compute_layer_bits`).

Average bits are taken over the quantized layers only, embeddings and lm_head left out. In one counting the scales
are ignored (as in the published tables), in the other each group of weights adds the bits of its scale.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil

from qcompare.errors import InvalidStudy
from qcompare.study.formats import FORMATS, SCHEMES, UNQUANTIZED
from qcompare.study.layers import LinearLayer
from qcompare.study.result import Bits
from qcompare.study.size import size_text
from qcompare.words import Message

UNQUANTIZED_BITS = 16
TOLERANCE = 1e-3
"""A budget this near to an end of the range means that end, as in auto-round."""


def layer_bits(layer: LinearLayer, scheme: str, ignore_scale_bits: bool) -> int:
    """Bits that a layer's weights take at a scheme."""
    preset = SCHEMES[scheme]
    groups = ceil(layer.out_features / preset.group_rows) * ceil(layer.in_features / preset.group_size)
    scales = 0 if ignore_scale_bits else groups
    return preset.bits * layer.numel + preset.scale_bits * scales


def total_bits(layers: Iterable[LinearLayer], config: Mapping[str, str], ignore_scale_bits: bool) -> int:
    """Bits of all layers under a layer config."""
    return sum(layer_bits(layer, config.get(layer.name, UNQUANTIZED), ignore_scale_bits) for layer in layers)


def count(layers: Sequence[LinearLayer], config: Mapping[str, str], asked: float | None) -> Bits:
    """Average bits in both countings."""
    weights = sum(layer.numel for layer in layers)
    return Bits(
        asked=asked,
        achieved=total_bits(layers, config, True) / weights,
        achieved_with_scales=total_bits(layers, config, False) / weights,
    )


def stored_bytes(layers: Sequence[LinearLayer], config: Mapping[str, str], num_params: int) -> int:
    """Bytes of the whole model: these layers at their bits with scales, all other weights at 16 bits."""
    rest = num_params - sum(layer.numel for layer in layers)
    return (total_bits(layers, config, False) + UNQUANTIZED_BITS * rest + 7) // 8


def bit_range(layers: Sequence[LinearLayer], schemes: Sequence[str], ignore_scale_bits: bool) -> tuple[float, float]:
    """Lowest and highest average that these schemes can reach."""
    weights = sum(layer.numel for layer in layers)
    ends = [total_bits(layers, dict.fromkeys(names(layers), s), ignore_scale_bits) / weights for s in schemes]
    return min(ends), max(ends)


def check_budget(
    avg_bits: float, layers: Sequence[LinearLayer], schemes: Sequence[str], ignore_scale_bits: bool
) -> float:
    """The budget, moved onto the end of the range that it means.

    Raises:
        InvalidStudy: it lies outside the reachable range.
    """
    low, high = bit_range(layers, schemes, ignore_scale_bits)
    if low - TOLERANCE <= avg_bits <= high + TOLERANCE:
        return min(max(avg_bits, low), high)
    counting = Message("scales not counted") if ignore_scale_bits else Message("scales counted")
    raise InvalidStudy(
        "avg_bits {avg_bits} is out of reach for {names}: choose from {low} to {high} ({counting})",
        avg_bits=f"{avg_bits:g}",
        names=" + ".join(schemes),
        low=f"{low:g}",
        high=f"{high:g}",
        counting=counting,
    )


def bits_of_size(size: int, layers: Sequence[LinearLayer], schemes: Sequence[str], num_params: int) -> float:
    """The average, scales counted, at which the whole model takes at most so many bytes.

    Args:
        num_params: all weights of a checkpoint; those outside the layers stay at 16 bits.

    Raises:
        InvalidStudy: it is out of reach; names the range.
    """
    ends = sorted(stored_bytes(layers, dict.fromkeys(names(layers), scheme), num_params) for scheme in schemes)
    if not ends[0] <= size:
        raise InvalidStudy(
            "max_size {size} is out of reach for {names}: choose from {low} to {high} (all other weights included)",
            size=size_text(size), names=" + ".join(schemes), low=size_text(ends[0]), high=size_text(ends[-1]),
        )  # fmt: skip
    weights = sum(layer.numel for layer in layers)
    room = 8 * min(size, ends[-1]) - UNQUANTIZED_BITS * (num_params - weights)
    return min(room / weights, bit_range(layers, schemes, ignore_scale_bits=False)[1])


def budget_bits(avg_bits: float, layers: Iterable[LinearLayer]) -> int:
    """All bits that an average allows."""
    return int(avg_bits * sum(layer.numel for layer in layers) + 0.5)


def check_sizes(layers: Sequence[LinearLayer], schemes: Sequence[str]) -> None:
    """Refuse schemes that do not fit every layer.

    Raises:
        InvalidStudy: names the layer, its size, and what works.
    """
    if not layers:
        raise InvalidStudy("the model has no linear layers that can be quantized: nothing to compare")
    for format in FORMATS.values():
        format.check([SCHEMES[name] for name in schemes if SCHEMES[name].format == format.name], layers)


def names(layers: Iterable[LinearLayer]) -> list[str]:
    """The layers' names."""
    return [layer.name for layer in layers]
