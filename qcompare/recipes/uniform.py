"""`uniform`: every layer at the low scheme."""

from qcompare.recipes.base import BuildContext, Recipe
from qcompare.study.layers import LayerConfig
from qcompare.words import gettext_noop


class Uniform(Recipe):
    name = "uniform"
    label = gettext_noop("Uniform")
    text = gettext_noop("Every layer at the low scheme: smallest, usually least accurate.")
    colour = "#E69F00"
    marker = "square"
    published_as = "Pure {low}"
    is_lowest = True
    takes_budget = False
    by_default = True

    def config_from_sizes(self, context: BuildContext) -> LayerConfig:
        return {layer.name: context.study.schemes[0] for layer in context.layers}
