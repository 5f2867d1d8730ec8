"""Weight-only integers, `W2A16` to `W8A16`: groups of weights share a scale and a zero point.

Zero is in the middle of the range; in schemes that end in `_ASYM` its place follows from the weights.
"""

from collections.abc import Sequence

from qcompare.errors import InvalidStudy
from qcompare.formats.library import ASYMMETRIC, AutoRoundFormat
from qcompare.study.formats import Scheme, SchemeChoice
from qcompare.study.layers import LinearLayer
from qcompare.words import Message, gettext_noop

GROUP_SIZES = (128, 64, 32)
"""The published one first; others are named, as in `W4A16G64`."""
BITS = (2, 3, 4, 5, 6, 8)
KERNEL_BITS = (2, 4, 8)
"""Widths that kernels load."""
OUTPUTS = 32
"""Kernels need outputs in multiples of this."""


def _scheme(bits: int, group_size: int, symmetric: bool = True) -> Scheme:
    suffix = "" if group_size == GROUP_SIZES[0] else f"G{group_size}"
    return Scheme(
        name=f"W{bits}A16{suffix}" + ("" if symmetric else ASYMMETRIC),
        format="int",
        bits=bits,
        group_size=group_size,
        scale_bits=16 + bits,  # a 16-bit scale, and a zero point as wide as a weight
        text=gettext_noop(
            "{bits}-bit integer weights, groups of {group_size} share a scale; activations stay at 16 bits."
        ),
        packed=bits in KERNEL_BITS,
    )


class _Integer(AutoRoundFormat):
    name = "int"
    title = gettext_noop("weight-only integers")
    exports = ("auto_round",)
    holds_embeddings = True
    schemes = (
        *(_scheme(bits, group_size) for group_size in GROUP_SIZES for bits in BITS),
        *(_scheme(bits, group_size, symmetric=False) for group_size in GROUP_SIZES for bits in KERNEL_BITS),
    )
    choices = (
        SchemeChoice(
            ("W2A16", "W4A16"), gettext_noop("W2 + W4, groups of 128\nInteger weights only, as in published table 4.")
        ),
        SchemeChoice(
            ("W2A16G64", "W4A16G64"),
            gettext_noop("W2 + W4, groups of 64\nFor models that 128 does not fit, as the demo."),
        ),
    )

    def check(self, schemes: Sequence[Scheme], layers: Sequence[LinearLayer]) -> None:
        """Kernels need whole groups along a layer's inputs, and outputs in multiples of 32; a checkpoint that breaks
        this is written without complaint and cannot be loaded."""
        for scheme in schemes:
            for layer in layers:
                if layer.out_features % OUTPUTS and not layer.is_embedding:
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
                        advice=self._advice(schemes, layers),
                    )

    def _advice(self, schemes: Sequence[Scheme], layers: Sequence[LinearLayer]) -> Message:
        size = next(size for size in GROUP_SIZES if all(layer.in_features % size == 0 for layer in layers))
        wanted = dict.fromkeys((scheme.bits, not scheme.name.endswith(ASYMMETRIC)) for scheme in schemes)
        names = [_scheme(bits, size, symmetric).name for bits, symmetric in wanted]
        return Message("group size {size} works, with [{names}]", {"size": size, "names": ", ".join(names)})


INTEGER = _Integer()
