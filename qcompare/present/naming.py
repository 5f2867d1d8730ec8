"""How recipes are named inside a sentence about a comparison."""

from qcompare.compare.ranking import Ranking
from qcompare.compare.selection import title
from qcompare.compare.table import Row
from qcompare.study.recipe import RECIPES
from qcompare.words import ENGLISH, gettext, language, translate


def at_bits(ranking: Ranking) -> str:
    """The budget, as a sentence begins; nothing where several would have to be named."""
    several = len(ranking.comparison.study.avg_bits) > 1
    bits = ranking.best.avg_bits
    return "" if bits is None or several else gettext("at {bits} bits ", bits=f"{bits:g}")


def name_of(ranking: Ranking, row: Row) -> str:
    """A recipe inside a sentence."""
    if row.named:
        return translate(row.title)
    name = translate(title(row.recipe))
    said = (
        gettext("the {name} recipe", name=name.lower())
        if row.recipe in RECIPES
        else gettext("the recipe {name}", name=name)
    )
    if len(ranking.comparison.study.avg_bits) > 1 and row.avg_bits is not None:
        said = gettext("{recipe} at {bits} bits", recipe=said, bits=f"{row.avg_bits:g}")
    return f"{said} ({translate(row.label)})" if row.label else said


def listed(names: list[str]) -> str:
    """Recipes in a row, in English with "recipe" said once."""
    if len(names) == 1:
        return names[0]
    *some, last = _shortened(names) if language() == ENGLISH else names
    return gettext("{some} and {last}", some=gettext(", ").join(some), last=last)


def _shortened(names: list[str]) -> list[str]:
    short = [names[0], *(name.removeprefix("the ") for name in names[1:])]
    if not all(name.endswith(" recipe") for name in short):
        return short
    return [*(name.removesuffix(" recipe") for name in short[:-1]), short[-1] + "s"]
