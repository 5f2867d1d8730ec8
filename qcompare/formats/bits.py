"""All counting of bits, in auto-round's convention (`auto_round.auto_scheme.utils.compute_layer_bits`).

Average bits are taken over the quantized layers only, embeddings and lm_head left out. In one counting the scales
are ignored (as in the published tables), in the other each group of weights adds the bits of its scale.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil

from qcompare.errors import InvalidStudy
from qcompare.models.facts import LinearLayer
from qcompare.study.presets import GROUP_SIZES, RECIPES, SCHEMES, scheme_named
from qcompare.study.result import Bits
from qcompare.words import gettext

UNQUANTIZED_BITS = 16
BLOCK = 128
"""Rows and columns of a block of FP8_BLOCK."""
TOLERANCE = 1e-3
"""A budget this near to an end of the range means that end, as in auto-round."""

LayerConfig = dict[str, str]
"""Full layer name → scheme name; a layer that is not named stays at 16 bits."""


def layer_bits(layer: LinearLayer, scheme: str, ignore_scale_bits: bool) -> int:
    """Bits that a layer's weights take at a scheme."""
    preset = scheme_named(scheme)
    groups = ceil(layer.out_features / preset.group_rows) * ceil(layer.in_features / preset.group_size)
    scales = 0 if ignore_scale_bits else groups
    return preset.bits * layer.numel + preset.scale_bits * scales


def total_bits(layers: Iterable[LinearLayer], config: Mapping[str, str], ignore_scale_bits: bool) -> int:
    """Bits of all layers under a layer config."""
    return sum(layer_bits(layer, config.get(layer.name, "BF16"), ignore_scale_bits) for layer in layers)


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
    counting = gettext("scales not counted") if ignore_scale_bits else gettext("scales counted")
    raise InvalidStudy(
        "avg_bits {avg_bits} is out of reach for {names}: choose from {low} to {high} ({counting})",
        avg_bits=f"{avg_bits:g}",
        names=" + ".join(schemes),
        low=f"{low:g}",
        high=f"{high:g}",
        counting=counting,
    )


def budget_bits(avg_bits: float, layers: Iterable[LinearLayer]) -> int:
    """All bits that an average allows."""
    return int(avg_bits * sum(layer.numel for layer in layers) + 0.5)


def check_sizes(layers: Sequence[LinearLayer], schemes: Sequence[str]) -> None:
    """Refuse schemes whose groups do not fit every layer.

    Kernels for weight-only formats need whole groups along a layer's inputs and outputs in multiples of 32; a
    checkpoint that breaks this is written without complaint and cannot be loaded.

    Raises:
        InvalidStudy: names the layer, its size, and what works.
    """
    if not layers:
        raise InvalidStudy("the model has no linear layers that can be quantized: nothing to compare")
    for scheme in (SCHEMES[name] for name in schemes if SCHEMES[name].family == "int"):
        for layer in layers:
            if layer.out_features % 32:
                raise InvalidStudy(
                    "{scheme} needs outputs in multiples of 32, but {layer} has {outputs}: choose MXFP schemes",
                    scheme=scheme.name,
                    layer=layer.name,
                    outputs=layer.out_features,
                )
            if layer.in_features % scheme.group_size:
                raise InvalidStudy(
                    "{scheme} needs inputs in groups of {group_size}, but {layer} has {inputs}: {advice}",
                    scheme=scheme.name,
                    group_size=scheme.group_size,
                    layer=layer.name,
                    inputs=layer.in_features,
                    advice=_working_group_size(layers, schemes),
                )


def check_blocks(layers: Sequence[LinearLayer], recipe: str) -> None:
    """Refuse a recipe whose blocks of weights do not fit every layer.

    Raises:
        InvalidStudy: names the layer, its size, and the alternative.
    """
    if RECIPES[recipe].checkpoint_scheme != "FP8_BLOCK":
        return
    for layer in layers:
        if layer.out_features % BLOCK or layer.in_features % BLOCK:
            raise InvalidStudy(
                "{recipe} needs weights in blocks of {block} × {block}, but {layer} has {outputs} × "
                "{inputs}: choose {other}, which takes any size",
                recipe=recipe,
                block=BLOCK,
                layer=layer.name,
                outputs=layer.out_features,
                inputs=layer.in_features,
                other=recipe.replace("block", "dynamic"),
            )


def _working_group_size(layers: Sequence[LinearLayer], schemes: Sequence[str]) -> str:
    works = next(size for size in GROUP_SIZES if all(layer.in_features % size == 0 for layer in layers))
    bits = dict.fromkeys(SCHEMES[name].bits for name in schemes if SCHEMES[name].family == "int")
    fitting = [
        s.name for b in bits for s in SCHEMES.values() if (s.family, s.bits, s.group_size) == ("int", b, works)
    ]
    return gettext("group size {size} works, with [{names}]", size=works, names=", ".join(fitting))


def names(layers: Iterable[LinearLayer]) -> list[str]:
    """The layers' names."""
    return [layer.name for layer in layers]
