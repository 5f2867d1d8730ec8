"""The sentences below a verdict's claim: for a colleague, and for an engineer."""

from qcompare.compare.kl import kl_difference
from qcompare.compare.ranking import Ranking
from qcompare.compare.resolution import resolved_difference
from qcompare.compare.statistics import PairedDifference
from qcompare.compare.table import Row
from qcompare.present.naming import name_of
from qcompare.present.numbers import divergence, equals, percent, points, questions
from qcompare.study.recipe import RECIPES
from qcompare.words import gettext, gettext_noop


def plain_details(ranking: Ranking) -> tuple[str, ...]:
    """Accuracy retained, surprises, and how many more questions would decide the rest; the most important first."""
    best, paired = ranking.best, ranking.best.versus_bf16
    if paired is None:
        return _no_interval(best)
    return (*_kept(ranking, paired), *_closest(ranking), *_surprise(ranking), *what_would_decide(ranking))


def _no_interval(row: Row) -> tuple[str, ...]:
    return (gettext("No interval: {reason}.", reason=row.unpaired_because),) if row.unpaired_because else ()


def _kept(ranking: Ranking, paired: PairedDifference) -> tuple[str, ...]:
    if paired.percent_low is None or paired.percent_high is None:
        return ()
    ends = {"low": f"{paired.percent_low:.0f}", "high": f"{paired.percent_high:.0f}"}
    if ranking.beaten or not ranking.open:
        return (gettext("It gives {low} to {high} right answers for every 100 of BF16’s.", **ends),)
    text = gettext_noop("The highest, {recipe}, gives {low} to {high} right answers for every 100 of BF16’s.")
    return (gettext(text, recipe=name_of(ranking, ranking.best), **ends),)


def _closest(ranking: Ranking) -> tuple[str, ...]:
    """Which recipe predicts most like BF16, token by token, where the difference to the next exceeds its error."""
    measured = [(row, row.divergence) for row in ranking.comparison.scored if row.divergence and not row.is_baseline]
    if len(measured) < 2:
        return ()
    (nearest, kl), (second, second_kl) = sorted(measured, key=lambda found: found[1].kl)[:2]
    found = kl_difference(kl, second_kl)
    if found is None or not found.is_significant:
        return ()
    said = {
        "recipe": name_of(ranking, nearest), "kl": divergence(kl.kl),
        "next": name_of(ranking, second), "next_kl": divergence(second_kl.kl),
    }  # fmt: skip
    if found.paired:
        text = gettext_noop("Word by word, {recipe} predicts most like BF16 (KL {kl}, next {next} with {next_kl}).")
    else:
        text = gettext_noop(
            "Word by word, {recipe} predicts most like BF16 (KL {kl}, next {next} with {next_kl}; compared unpaired)."
        )
    return (gettext(text, **said),)


def _surprise(ranking: Ranking) -> tuple[str, ...]:
    """What a reader would not expect: cheap recipes that do as well or better."""
    best = RECIPES.get(ranking.best.recipe)
    beaten = [RECIPES.get(rival.row.recipe) for rival in ranking.beaten]
    if best and best.is_lowest:
        return (
            gettext("No gain from the other recipes’ extra bits is shown: uniform is smallest and scores highest."),
        )
    if best and not best.reads_weights and any(recipe and recipe.reads_weights for recipe in beaten):
        return (gettext("Here a simple rule does better than choosing layers by their sensitivity."),)
    if any((recipe := RECIPES.get(rival.row.recipe)) and recipe.is_lowest for rival in ranking.open):
        return (gettext("No gain over uniform, the smallest, is shown."),)
    return ()


def what_would_decide(ranking: Ranking) -> tuple[str, ...]:
    """How many questions would decide what is open, unless the claim has said it."""
    if not ranking.open:
        return ()
    nearest = ranking.open[0]
    names = {"ours": name_of(ranking, ranking.best), "theirs": name_of(ranking, nearest.row)}
    needed = ranking.questions_needed
    if needed is None:
        gap = f"{abs(nearest.paired.difference) * 100:.1f}"
        text = gettext_noop(
            "More questions are unlikely to separate {ours} from {theirs}: they are {points} points apart."
        )
        return (gettext(text, points=gap, **names),)
    if not ranking.beaten and ranking.comparison.baseline is not None:
        return ()
    text = gettext_noop("About {questions} would probably separate {ours} from {theirs}.")
    return (gettext(text, questions=questions(needed), **names),)


def expert_details(ranking: Ranking) -> tuple[str, ...]:
    """Figures, intervals and corrections behind the claim."""
    best, paired = ranking.best, ranking.best.versus_bf16
    if paired is None:
        return _no_interval(best)
    quantized = sum(1 for row in ranking.comparison.scored if not row.is_baseline)
    said = [_against_baseline(best, paired, quantized)]
    nearest = (*ranking.open, *ranking.beaten)[:1]
    if nearest:
        pairs, figures = len(ranking.comparison.pairs), _figures(nearest[0].paired)
        text = gettext_noop("Nearest, {recipe}: {figures}; Holm over {n} pairs.")
        said.append(gettext(text, recipe=nearest[0].row.title, figures=figures, n=pairs))
    text = gettext_noop(
        "Paired bootstrap stratified by task; intervals are at least 95 % wide, as Holm’s rule asks, and leave zero "
        "out just where p < 0.05. On this study’s questions a difference to BF16 shows from about {points} points."
    )
    said.append(gettext(text, points=f"{100 * resolved_difference(paired):.1f}"))
    return tuple(said)


def _against_baseline(row: Row, paired: PairedDifference, quantized: int) -> str:
    said = {"recipe": row.title, "figures": _figures(paired), "n": quantized}
    if paired.percent_low is None or paired.percent_high is None:
        return gettext("{recipe}: {figures}; Holm over {n}.", **said)
    share = f"[{paired.percent_low:.1f}, {paired.percent_high:.1f}]"
    text = gettext_noop("{recipe}: {percent} of BF16 {interval}, {figures}; Holm over {n}.")
    return gettext(text, percent=percent(paired.percent), interval=share, **said)


def _figures(paired: PairedDifference) -> str:
    ends = f"[{points(paired.low)}, {points(paired.high)}]"
    said = {"points": points(paired.difference), "interval": ends, "p": equals(paired.p_holm)}
    return gettext("{points} points {interval}, p {p}", **said)
