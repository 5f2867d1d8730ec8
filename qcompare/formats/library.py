"""A scheme's name as auto-round's definition of it."""

import re
from collections.abc import Mapping
from typing import Any

from qcompare.study.presets import SCHEMES

OWN_GROUP_SIZE = re.compile(r"G\d+$")
"""Ending of the names of weight-only schemes whose group size is not 128; auto-round names only some of them."""


def library_scheme(name: str) -> Any:
    """The `auto_round.schemes.QuantizationScheme` of a scheme."""
    from auto_round.schemes import preset_name_to_scheme

    scheme = preset_name_to_scheme(OWN_GROUP_SIZE.sub("", name))
    if name != "BF16":
        scheme.group_size = SCHEMES[name].group_size
    return scheme


def quantized(layer_config: Mapping[str, str]) -> dict[str, str]:
    """The layers of a layer config that do not stay at 16 bits."""
    return {name: scheme for name, scheme in layer_config.items() if scheme != "BF16"}
