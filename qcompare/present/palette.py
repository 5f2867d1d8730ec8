"""Colours and markers of recipes: the same everywhere, fit for light and dark.

The ten colours of `PALETTE` stay apart by at least 14 CIEDE2000 for normal sight, deuteranopes and protanopes
(Machado et al. 2009); `tests/present/test_palette.py` measures it. Recipes that share one have other markers. Neither
is ever the only sign: every mark also has the recipe's name.
"""

from collections.abc import Sequence

from qcompare.study.recipe import MARKERS, RECIPES

PALETTE: Sequence[str] = (
    *("#868C96", "#E69F00", "#56B4E9", "#009E73", "#5A00F0"),
    *("#A50F00", "#874B78", "#B46900", "#5A78F0", "#2D694B"),
)
GREY = PALETTE[0]
"""Of the original, and of lines that belong to no recipe."""
OTHERS: Sequence[str] = PALETTE[1:]
"""For recipes of other packages that name no colour of the palette."""
LOSS, GAIN = "#D55E00", "#0072B2"
"""Distinguishable for colour-blind readers (Okabe & Ito 2008)."""
STAGES: Sequence[str] = ("#DDE3F1", "#B9C4E0", "#8E9CC4", "#65749F", "#455280", "#252E52")
"""Of the stages of a job, light to dark: no recipe's."""

TEXT = "#737982"
"""Readable on white and on near-black (about 4.4:1 on both): for figures that do not know where they are shown."""
LINE = "rgba(134, 140, 150, 0.35)"
"""Grid lines and frames."""
LOW_SCHEME = "rgba(134, 140, 150, 0.30)"
"""Layers at the low scheme in a layer map; the high scheme takes the recipe's colour."""


def colour(recipe: str) -> str:
    """The colour of a recipe, as #RRGGBB; a recipe of no fixed colour gets one by its name."""
    return RECIPES[recipe].colour if recipe in RECIPES else OTHERS[sum(recipe.encode()) % len(OTHERS)]


def marker(recipe: str) -> str:
    """The marker of a recipe, one of `MARKERS`; a recipe of no fixed marker gets one by its name."""
    return RECIPES[recipe].marker if recipe in RECIPES else MARKERS[sum(recipe.encode()) % len(MARKERS)]
