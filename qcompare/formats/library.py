"""Schemes as auto-round defines them, and its own rounding functions."""

import re
from collections.abc import Mapping
from typing import Any

from qcompare.study.formats import SCHEMES, Format, Rounding, Scheme

ASYMMETRIC = "_ASYM"
OWN_SETTINGS = re.compile(rf"(G\d+)?({ASYMMETRIC})?$")
"""Ending of the names of weight-only schemes: a group size that is not 128, a zero point of its own."""


PRESETS = {"FP8_DYNAMIC": "FP8_STATIC", "INT8_W8A8": "INT8"} | {f"Q{n}_K": f"GGUF:Q{n}_K_S" for n in (2, 3, 4, 5)}
PRESETS |= {name: f"GGUF:{name}" for name in ("Q6_K", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")}
"""Our name of a scheme → auto-round's preset, where they differ."""


def library_scheme(name: str) -> Any:
    """The `auto_round.schemes.QuantizationScheme` of a scheme."""
    from auto_round.schemes import preset_name_to_scheme

    scheme = preset_name_to_scheme(OWN_SETTINGS.sub("", PRESETS.get(name, name)))
    if SCHEMES[name].format == "int":
        scheme.group_size, scheme.sym = SCHEMES[name].group_size, not name.endswith(ASYMMETRIC)
    if name == "FP8_DYNAMIC":  # a scale per token, from the token
        scheme.act_group_size, scheme.act_dynamic = -1, True
    return scheme


class AutoRoundFormat(Format):
    """A format whose rounding is auto-round's (`auto_round/data_type`)."""

    def definition(self, scheme: Scheme) -> Mapping[str, Any]:
        return dict(library_scheme(scheme.name))

    def weight_rounding(self, scheme: Scheme) -> Rounding:
        from auto_round.data_type.utils import get_quant_func

        preset = library_scheme(scheme.name)
        function, data_type = get_quant_func(
            preset.data_type, preset.bits, preset.sym, disable_opt_rtn=True, iters=0, group_size=preset.group_size
        )
        return self._rounding(function, preset.bits, preset.group_size, data_type)

    def activation_rounding(self, scheme: Scheme, maximum: float | None = None) -> Rounding | None:
        from auto_round.data_type.utils import get_quant_func

        preset = library_scheme(scheme.name)
        if int(preset.act_bits or 16) >= 16:
            return None
        function, data_type = get_quant_func(
            preset.act_data_type, preset.act_bits, preset.act_sym, disable_opt_rtn=True
        )
        return self._rounding(function, preset.act_bits, preset.act_group_size, data_type)

    def _rounding(self, function: Any, bits: int, group_size: int, data_type: str) -> Rounding:
        return lambda x, **shared: function(x, bits=bits, group_size=group_size, data_type=data_type, **shared)[0]
