"""NVFP4: 4-bit floats in groups of 16 with an 8-bit float scale, and one 32-bit scale per tensor.

Weights and activations as auto-round computes them (`auto_round/data_type/nvfp.py`). A checkpoint stores the tensor
scale of each layer's inputs, from calibration text; so a study takes it from there too, and scores do not depend on
what else stands in a batch. auto-round's in-memory model takes it from each tensor as it comes.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from qcompare.formats.library import AutoRoundFormat
from qcompare.models.layers import fused_key
from qcompare.study.formats import Rounding, Scheme, SchemeChoice
from qcompare.words import gettext_noop


class _Nvfp(AutoRoundFormat):
    name = "nvfp"
    title = gettext_noop("NVIDIA's 4-bit floats")
    exports = ("auto_round", "llm_compressor")
    schemes = (
        Scheme("NVFP4", name, 4, 16, 8, gettext_noop("4-bit floating point, groups of 16 share an 8-bit scale.")),
    )
    calibrates_inputs = True
    choices = (
        SchemeChoice(
            ("NVFP4", "BF16"), gettext_noop("NVFP4 + BF16\nNVIDIA's 4-bit format; the other layers stay as they are.")
        ),
    )

    def activation_rounding(self, scheme: Scheme, maximum: float | None = None) -> Rounding | None:
        rounding = super().activation_rounding(scheme)
        if rounding is None or maximum is None:
            return rounding
        return lambda x: rounding(x, tensor_max=maximum)

    def shared_settings(self, layers: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        """Layers that serving engines fuse share the scale of their tensors, as in auto-round
        (`data_type/utils.py: update_fused_layer_global_scales`)."""
        import torch
        from auto_round.data_type.nvfp import calculate_gparam

        scales = {name: calculate_gparam(layer.weight) for name, layer in layers.items()}
        found: dict[str, Mapping[str, Any]] = {}
        for _, group in groupby(sorted(layers, key=fused_key), key=fused_key):
            names = list(group)
            smallest = torch.stack([scales[name] for name in names]).min()
            found |= {name: {"global_scale": smallest} for name in names}
        return found


NVFP = _Nvfp()
