"""GPTQ and AWQ at 4-bit weights by llm-compressor, measured after the checkpoint is loaded again."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from qcompare.formats.integer import GROUP_SIZES
from qcompare.recipes.base import BuildContext, BuildCost, Recipe
from qcompare.recipes.fp8 import AWQ_PASSES
from qcompare.recipes.lab import Lab
from qcompare.study.layers import LayerConfig
from qcompare.study.spec import Study
from qcompare.words import gettext_noop

GPTQ_PASSES = 6.0
"""GPTQ over a calibration token, in plain forward passes of the model."""


class _W4A16(Recipe):
    takes_budget = False
    simulates = False
    writes: ClassVar[str] = "W4A16"

    group_size: Literal[128, 64, 32] | None = None
    """Weights that share a scale; None: the largest that every layer's inputs are a multiple of."""

    def written_scheme(self, context: BuildContext) -> str:
        sizes = [size for size in GROUP_SIZES if all(layer.in_features % size == 0 for layer in context.layers)]
        size = self.group_size or sizes[0]
        return "W4A16" if size == GROUP_SIZES[0] else f"W4A16G{size}"

    def config_from_sizes(self, context: BuildContext) -> LayerConfig:
        return dict.fromkeys((layer.name for layer in context.layers), self.written_scheme(context))


class GptqW4A16(_W4A16):
    name = "gptq_w4a16"
    label = gettext_noop("GPTQ")
    text = gettext_noop("Every layer in 4-bit integers, rounded by GPTQ.")
    colour = "#2D694B"
    marker = "hexagon"

    def build(self, lab: Lab, model: Any, tokenizer: Any, layer_config: LayerConfig) -> tuple[Any, Any]:
        return lab.compress(model, tokenizer, layer_config, gptq=True)

    def cost(self, study: Study) -> BuildCost:
        return BuildCost(quantizing=GPTQ_PASSES * study.calibration.num_samples * study.calibration.max_seq_length)


class AwqW4A16(_W4A16):
    name = "awq_w4a16"
    label = gettext_noop("AWQ")
    text = gettext_noop("Every layer in 4-bit integers after AWQ has scaled the weights.")
    colour = "#A50F00"
    marker = "pentagon"

    n_grid: Annotated[int, Field(ge=4, le=100)] | None = None
    """Scales that AWQ tries per mapping; None: the study's `awq_n_grid`."""

    def build(self, lab: Lab, model: Any, tokenizer: Any, layer_config: LayerConfig) -> tuple[Any, Any]:
        return lab.compress(model, tokenizer, layer_config, n_grid=self.n_grid or lab.study.awq_n_grid)

    def cost(self, study: Study) -> BuildCost:
        grid = self.n_grid or study.awq_n_grid
        return BuildCost(
            quantizing=AWQ_PASSES * study.calibration.num_samples * study.calibration.max_seq_length * grid
        )
