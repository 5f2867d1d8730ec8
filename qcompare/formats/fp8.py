"""FP8 as llm-compressor writes it: checkpoints in 8-bit floats, measured after they are loaded again."""

from collections.abc import Sequence

from qcompare.errors import InvalidStudy
from qcompare.study.formats import Format, Scheme
from qcompare.study.layers import LinearLayer
from qcompare.words import gettext_noop

BLOCK = 128
"""Rows and columns of a block of `FP8_BLOCK`."""


class _Fp8(Format):
    name = "fp8"
    title = gettext_noop("8-bit floats")
    exports = ("llm_compressor",)
    mixable = False
    schemes = (
        Scheme("FP8_DYNAMIC", name, 8, 1 << 30, 16, gettext_noop("8-bit floats, one scale per output.")),
        Scheme("FP8_BLOCK", name, 8, BLOCK, 16, gettext_noop("8-bit floats, one scale per 128 × 128 block."), BLOCK),
    )

    def check(self, schemes: Sequence[Scheme], layers: Sequence[LinearLayer]) -> None:
        for scheme in (scheme for scheme in schemes if scheme.group_rows > 1):
            for layer in layers:
                if layer.out_features % BLOCK or layer.in_features % BLOCK:
                    raise InvalidStudy(
                        "{scheme} needs weights in blocks of {block} × {block}, but {layer} has {outputs} × "
                        "{inputs}: choose FP8_DYNAMIC, which takes any size",
                        scheme=scheme.name,
                        block=BLOCK,
                        layer=layer.name,
                        outputs=layer.out_features,
                        inputs=layer.in_features,
                    )


FP8 = _Fp8()
