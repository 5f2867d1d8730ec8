"""Colours of recipes: the same everywhere, distinct for colour-blind eyes (Okabe & Ito 2008), fit for light and dark.

Colour is never the only sign: every mark also bears the recipe's name.
"""

from collections.abc import Sequence

GREY, ORANGE, SKY, GREEN, YELLOW = "#868C96", "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
TEAL, BROWN = "#44AA99", "#9C5A3C"
"""Two more, for FP8 without AWQ."""

OF_RECIPE: dict[str, str] = {
    "bf16": GREY,
    "uniform": ORANGE,
    "head": SKY,
    "tail": PURPLE,
    "mixed": GREEN,
    "kl_swap": YELLOW,
    "awq_fp8_dynamic": BLUE,
    "awq_fp8_block": VERMILION,
    "rtn_fp8_dynamic": TEAL,
    "rtn_fp8_block": BROWN,
}
OTHERS: Sequence[str] = (BLUE, VERMILION, YELLOW)

TEXT = "#737982"
"""Readable on white and on near-black (about 4.4:1 on both): for figures that do not know where they are shown."""
LINE = "rgba(134, 140, 150, 0.35)"
"""Grid lines and frames."""
LOW_SCHEME = "rgba(134, 140, 150, 0.30)"
"""Layers at the low scheme in a layer map; the high scheme takes the recipe's colour."""


def colour(recipe: str) -> str:
    """The colour of a recipe, as #RRGGBB; a recipe of no fixed colour gets one by its name."""
    return OF_RECIPE.get(recipe) or OTHERS[sum(recipe.encode()) % len(OTHERS)]
