"""FP8 checkpoints by llm-compressor, plainly rounded or after AWQ, measured after they are loaded again."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from qcompare.recipes.base import BuildContext, BuildCost, Recipe
from qcompare.recipes.lab import Lab
from qcompare.study.layers import LayerConfig
from qcompare.study.spec import Study
from qcompare.words import gettext_noop

AWQ_PASSES = 19.0
"""AWQ's search over a calibration token, per scale of its grid, in plain forward passes of the model."""


class Fp8(Recipe):
    """A checkpoint in one FP8 scheme."""

    takes_budget = False
    simulates = False
    awq: ClassVar[bool] = False
    writes: ClassVar[str]

    def config_from_sizes(self, context: BuildContext) -> LayerConfig:
        return {layer.name: self.writes for layer in context.layers}

    def build(self, lab: Lab, model: Any, tokenizer: Any, layer_config: LayerConfig) -> tuple[Any, Any]:
        return lab.compress(model, tokenizer, layer_config)


class AwqFp8(Fp8):
    """The same after AWQ has scaled the weights."""

    n_grid: Annotated[int, Field(ge=4, le=100)] | None = None
    """Scales that AWQ tries per mapping; None: the study's `awq_n_grid`."""

    def build(self, lab: Lab, model: Any, tokenizer: Any, layer_config: LayerConfig) -> tuple[Any, Any]:
        return lab.compress(model, tokenizer, layer_config, n_grid=self.n_grid or lab.study.awq_n_grid)

    def cost(self, study: Study) -> BuildCost:
        text = study.calibration
        grid = self.n_grid or study.awq_n_grid
        return BuildCost(quantizing=AWQ_PASSES * text.num_samples * text.max_seq_length * grid)


class RtnFp8Dynamic(Fp8):
    name = "rtn_fp8_dynamic"
    label = gettext_noop("FP8")
    text = gettext_noop("Every layer in 8-bit floats, plainly rounded.")
    colour = "#B46900"
    marker = "hexagon"
    writes = "FP8_DYNAMIC"
    published_as = "FP8_DYNAMIC without AWQ"


class AwqFp8Dynamic(AwqFp8):
    name = "awq_fp8_dynamic"
    label = gettext_noop("AWQ + FP8")
    text = gettext_noop("FP8 after AWQ has scaled the weights.")
    colour = "#5A78F0"
    marker = "pentagon"
    writes = "FP8_DYNAMIC"
    published_as = "FP8_DYNAMIC"


class RtnFp8Block(Fp8):
    name = "rtn_fp8_block"
    label = gettext_noop("FP8 blocks")
    text = gettext_noop("FP8 with a scale for each 128 × 128 block.")
    colour = "#B46900"
    writes = "FP8_BLOCK"
    published_as = "FP8_BLOCK without AWQ"


class AwqFp8Block(AwqFp8):
    name = "awq_fp8_block"
    label = gettext_noop("AWQ + FP8 blocks")
    text = gettext_noop("The same after AWQ has scaled the weights.")
    colour = "#5A78F0"
    marker = "square"
    writes = "FP8_BLOCK"
    published_as = "FP8_BLOCK"
