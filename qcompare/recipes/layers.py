"""`layers`: a layer config of your own, written by hand or taken from another study's result."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator

from qcompare.errors import InvalidStudy, InvalidValue, unknown
from qcompare.formats.bits import check_sizes
from qcompare.recipes.base import BuildContext, Recipe, check_embedding
from qcompare.study.formats import SCHEMES, quantized
from qcompare.study.layers import LayerConfig
from qcompare.words import gettext_noop

MAX_BYTES = 10_000_000
"""A file larger than this is no layer config."""


def _read(value: Any) -> Any:
    """The mapping inside a file; a result file of a study holds one as its `layer_config`."""
    if not isinstance(value, str):
        return value
    path = Path(value).expanduser()
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidValue("{path} is larger than 10 MB, so it is no layer config", path=path)
        found = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML too
    except OSError as error:
        raise InvalidValue("{path} cannot be read ({reason})", path=path, reason=error.strerror) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise InvalidValue("{path} is neither JSON nor YAML: give lines such as 'layer: MXFP4'", path=path) from None
    return found["layer_config"] if isinstance(found, dict) and "layer_config" in found else found


class Layers(Recipe):
    name = "layers"
    label = gettext_noop("Own layers")
    text = gettext_noop("Your own choice: each layer gets the scheme that a file names.")
    colour = "#E69F00"
    marker = "cross"
    takes_budget = False
    offered = False
    simulates = False

    layer_config: Annotated[dict[str, str], BeforeValidator(_read)]
    """Full layer name → scheme, or the path of a YAML or JSON file of such lines, or of a study's `result.json`.
    Layers that it does not name stay at 16 bits."""

    def check(self, context: BuildContext) -> None:
        layers = {layer.name: layer for layer in context.layers}
        if missing := next((name for name in self.layer_config if name not in layers), None):
            raise InvalidStudy(unknown(gettext_noop("layer"), missing, list(layers)[:20]))
        for scheme in dict.fromkeys(quantized(self.layer_config).values()):
            named = [layers[name] for name, its in self.layer_config.items() if its == scheme]
            check_sizes(named, (SCHEMES[scheme].name,))
            check_embedding(named, (scheme,))

    def config_from_sizes(self, context: BuildContext) -> LayerConfig:
        return dict(self.layer_config)
