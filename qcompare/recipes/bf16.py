"""`bf16`: the original model."""

from qcompare.recipes.base import BuildContext, Recipe
from qcompare.study.layers import LayerConfig
from qcompare.words import gettext_noop


class Bf16(Recipe):
    name = "bf16"
    label = gettext_noop("BF16")
    text = gettext_noop("The original model: the baseline for all others.")
    colour = "#868C96"
    published_as = "BF16"
    takes_budget = False
    by_default = True
    is_baseline = True
    simulates = False

    def config_from_sizes(self, context: BuildContext) -> LayerConfig:
        return {}
