"""Colours of recipes: the same everywhere, distinct for colour-blind eyes (Okabe & Ito 2008), fit for light and dark.

Colour is never the only sign: every mark also has the recipe's name.
"""

from collections.abc import Sequence

from qcompare.study.recipe import RECIPES

GREY, ORANGE, SKY, GREEN, YELLOW = "#868C96", "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

OTHERS: Sequence[str] = (BLUE, VERMILION, YELLOW)

TEXT = "#737982"
"""Readable on white and on near-black (about 4.4:1 on both): for figures that do not know where they are shown."""
LINE = "rgba(134, 140, 150, 0.35)"
"""Grid lines and frames."""
LOW_SCHEME = "rgba(134, 140, 150, 0.30)"
"""Layers at the low scheme in a layer map; the high scheme takes the recipe's colour."""


def colour(recipe: str) -> str:
    """The colour of a recipe, as #RRGGBB; a recipe of no fixed colour gets one by its name."""
    return RECIPES[recipe].colour if recipe in RECIPES else OTHERS[sum(recipe.encode()) % len(OTHERS)]
