"""Who is ahead in a comparison, of whom that is sure, and how recipes are named in a sentence about it.

The best recipe is picked after seeing the scores, so it is held against the others by the p-values corrected for all
pairs.
"""

from dataclasses import dataclass

from qcompare.compare.resolution import questions_needed, rounded_up
from qcompare.compare.selection import title
from qcompare.compare.statistics import PairedDifference
from qcompare.compare.table import Comparison, Row
from qcompare.study.recipe import RECIPES
from qcompare.study.task import TASKS
from qcompare.words import ENGLISH, gettext, language


@dataclass(frozen=True)
class Rival:
    """Another quantized recipe, as the best one stands to it."""

    row: Row
    paired: PairedDifference
    """Of the best minus this one."""


@dataclass(frozen=True)
class Finding:
    """The best quantized recipe and the others."""

    comparison: Comparison
    best: Row
    beaten: tuple[Rival, ...]
    """Really behind the best."""
    open: tuple[Rival, ...]
    """Not to be told from the best by so many questions; the nearest first."""


def find(comparison: Comparison, best: Row) -> Finding:
    """Hold the best recipe against the others."""
    return Finding(comparison, best, *_rivals(comparison, best))


def _rivals(comparison: Comparison, best: Row) -> tuple[tuple[Rival, ...], tuple[Rival, ...]]:
    """The other quantized recipes: those really behind the best, and the rest."""
    rows = {row.job_id: row for row in comparison.scored}
    rivals = []
    for pair in comparison.pairs:
        names, found = [pair.job_id, pair.other_job_id], pair.difference
        if best.job_id not in names or not set(names) <= set(rows):
            continue
        names.remove(best.job_id)
        rivals.append(Rival(rows[names[0]], found if pair.job_id == best.job_id else found.turned()))
    rivals.sort(key=lambda rival: abs(rival.paired.difference))
    beaten = tuple(rival for rival in rivals if rival.paired.is_real and rival.paired.difference > 0)
    return beaten, tuple(rival for rival in rivals if rival not in beaten)


def questions_to_settle(finding: Finding) -> int | None:
    """Questions that would settle the best against its nearest rival; None when these tasks do not hold as many."""
    times = questions_needed(finding.open[0].paired, max(1, len(finding.comparison.pairs)))
    asked = finding.comparison.questions
    there_are = sum(TASKS[task].questions for task in finding.comparison.study.tasks if task in TASKS)
    if times is None or times * asked > there_are:
        return None
    return rounded_up(max(times * asked, asked + 1))


def at_bits(finding: Finding) -> str:
    """The budget, as a sentence begins; nothing where several would have to be named."""
    several = len(finding.comparison.study.avg_bits) > 1
    bits = finding.best.avg_bits
    return "" if bits is None or several else gettext("at {bits} bits ", bits=f"{bits:g}")


def name_of(finding: Finding, row: Row) -> str:
    """A recipe inside a sentence."""
    name = title(row.recipe)
    said = (
        gettext("the {name} recipe", name=name.lower())
        if row.recipe in RECIPES
        else gettext("the recipe {name}", name=name)
    )
    if len(finding.comparison.study.avg_bits) > 1 and row.avg_bits is not None:
        said = gettext("{recipe} at {bits} bits", recipe=said, bits=f"{row.avg_bits:g}")
    return f"{said} ({row.label})" if row.label else said


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
