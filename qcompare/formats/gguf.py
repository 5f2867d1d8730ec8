"""The formats of GGUF files, as llama.cpp reads them: auto-round's packing, and gguf's own unpacking of it.

A weight is rounded by packing it as auto-round's export does (`auto_round/export/export_to_gguf/packing.py`, without
an importance matrix) and reading it back, so it has the very values that a `.gguf` file would hold.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qcompare.errors import InvalidStudy
from qcompare.study.formats import Format, Rounding, Scheme, SchemeChoice
from qcompare.study.layers import LinearLayer
from qcompare.words import gettext_noop

if TYPE_CHECKING:
    import numpy
    import torch

BLOCKS = {
    "Q2_K": (2, 256, 84),
    "Q3_K": (3, 256, 110),
    "Q4_0": (4, 32, 18),
    "Q4_K": (4, 256, 144),
    "Q4_1": (4, 32, 20),
    "Q5_0": (5, 32, 22),
    "Q5_K": (5, 256, 176),
    "Q5_1": (5, 32, 24),
    "Q6_K": (6, 256, 210),
    "Q8_0": (8, 32, 34),
}
"""Scheme → bits of a weight, weights of a block, bytes of a block with its scales."""


def _scheme(name: str, bits: int, block: int, num_bytes: int) -> Scheme:
    text = gettext_noop("{bits}-bit weights of a GGUF file, in blocks of {group_size}; activations stay at 16 bits.")
    return Scheme(name, "gguf", bits, block, 8 * num_bytes - bits * block, text)


class _Gguf(Format):
    name = "gguf"
    title = gettext_noop("GGUF")
    exports = ("gguf",)
    holds_embeddings = True
    schemes = tuple(_scheme(name, *block) for name, block in BLOCKS.items())
    choices = (
        SchemeChoice(("Q4_0", "Q8_0"), gettext_noop("Q4_0 + Q8_0\nllama.cpp's blocks of 32, for any model.")),
        SchemeChoice(("Q4_K", "Q6_K"), gettext_noop("Q4_K + Q6_K\nllama.cpp's blocks of 256, as in Q4_K_M.")),
    )

    def check(self, schemes: Sequence[Scheme], layers: Sequence[LinearLayer]) -> None:
        """Blocks must fill a layer's inputs; llama.cpp would silently store such a layer in another format."""
        for scheme in schemes:
            for layer in layers:
                if layer.in_features % scheme.group_size:
                    raise InvalidStudy(
                        "{scheme} needs inputs in blocks of {group_size}, but {layer} has {inputs}: name {names}",
                        scheme=scheme.name,
                        group_size=scheme.group_size,
                        layer=layer.name,
                        inputs=layer.in_features,
                        names=", ".join(name for name, (_, block, _) in BLOCKS.items() if block == 32),
                    )

    def definition(self, scheme: Scheme) -> Mapping[str, Any]:
        return {"bits": scheme.bits, "block": scheme.group_size, "scale_bits": scheme.scale_bits}

    def weight_rounding(self, scheme: Scheme) -> Rounding:
        import torch
        from gguf import GGMLQuantizationType
        from gguf.quants import dequantize

        def rounded(x: "torch.Tensor") -> "torch.Tensor":
            values = dequantize(pack_blocks(x, scheme.name), GGMLQuantizationType[scheme.name])
            return torch.from_numpy(values).to(x.device, x.dtype)

        return rounded


def pack_blocks(x: "torch.Tensor", scheme: str) -> "numpy.ndarray":
    """Weights of shape (…, in_features) as a GGUF file holds them: bytes of shape (…, bytes of a row)."""
    from auto_round.export.export_to_gguf.packing import ggml_quant

    packed: numpy.ndarray = ggml_quant(x.float().clone(), scheme.lower(), device=x.device)  # it changes what it gets
    return packed


GGUF = _Gguf()
