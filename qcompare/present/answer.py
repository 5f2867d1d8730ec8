"""Which recipe to ship, in words: the card above the results, for a colleague and for an engineer.

Every sentence rests on `compare.choice` and the paired statistics, and goes no further than they do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qcompare.compare.choice import ALPHA, Choice, choose, choose_by_budget
from qcompare.compare.statistics import PairedDifference
from qcompare.compare.table import Comparison, Row
from qcompare.present.caveats import is_within_noise
from qcompare.present.numbers import MISSING, divergence, equals, percent, points, questions, size
from qcompare.words import gettext, gettext_noop, ngettext, translate

NAMED = 3
"""Recipes that a sentence names; of more it gives the number."""


@dataclass(frozen=True)
class Wording:
    """A claim and what it rests on."""

    claim: str
    """One sentence."""
    details: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All of it, to be copied."""
        return " ".join((self.claim, *self.details))


@dataclass(frozen=True)
class OfBudget:
    """What to ship at one budget."""

    bits: str
    recipe: str
    size: str
    kept: str
    """Right answers for every 100 of the original's."""
    basis: str
    """How sure that is."""


@dataclass(frozen=True)
class Answer:
    """The same finding in two wordings."""

    plain: Wording
    expert: Wording
    budgets: tuple[OfBudget, ...] = ()
    """Where a study has several."""


def answer(comparison: Comparison) -> Answer:
    """Say which of the finished recipes to ship, or what is missing to say it."""
    choice = choose(comparison)
    if choice is None:
        nothing = Wording(_nothing_yet(comparison))
        return Answer(nothing, nothing)
    claim = _so_far(comparison, _claim(choice))
    budgets = tuple(_of_budget(bits, each) for bits, each in choose_by_budget(comparison))
    return Answer(
        Wording(claim, tuple(_plain(choice, bool(budgets)))), Wording(claim, tuple(_expert(choice))), budgets
    )


def answer_lines(comparison: Comparison) -> list[str]:
    """The answer in plain words for a page of text, a line for each sentence and each budget."""
    found = answer(comparison)
    budgets = [gettext(_budget_text(each), **vars(each)) for each in found.budgets]
    return [found.plain.claim, *found.plain.details, *budgets]


def _budget_text(found: OfBudget) -> str:
    if found.recipe == MISSING:
        return gettext_noop("{bits} bits: {basis}.")
    if found.kept == MISSING:
        return gettext_noop("{bits} bits: {recipe}, {size}; {basis}.")
    return gettext_noop("{bits} bits: {recipe}, {size}, {kept} right for every 100 of the original; {basis}.")


def _nothing_yet(comparison: Comparison) -> str:
    if not comparison.study.tasks:
        return gettext("This study asked no benchmark questions: see Generations.")
    if any(row.tasks for row in comparison.rows) and not comparison.tasks:
        return gettext("None of these tasks is scored by accuracy: the table shows their metrics.")
    if comparison.baseline:
        if comparison.status.ended:
            return gettext("Only the original is measured: add a recipe in New, or resume one in Progress.")
        return gettext("The original is measured; the smaller versions are still to come.")
    if comparison.status.ended:
        return gettext("No recipe has a score: Progress says why, and can resume it.")
    return gettext("No recipe is finished yet.")


def _so_far(comparison: Comparison, claim: str) -> str:
    return claim if comparison.status.ended else gettext("So far: {claim}", claim=claim)


def _claim(choice: Choice) -> str:
    said = {"recipe": name_of(choice, choice.pick) if choice.pick else ""}
    if choice.all_worse and choice.not_worse:
        text = gettext_noop("Every smaller version is clearly worse than the original. If you ship one: {recipe}.")
    elif choice.all_worse and choice.pick:
        text = gettext_noop("Every smaller version is clearly worse than the original. Closest to it: {recipe}.")
    elif choice.all_worse:
        text = gettext_noop("Every smaller version is clearly worse than the original; which loses least is open.")
    elif choice.not_worse:
        text = gettext_noop("Ship this: {recipe}.")
    elif choice.pick:
        text = gettext_noop("No winner yet by accuracy. Closest to the original: {recipe}.")
    else:
        text = gettext_noop("No winner yet.")
    return gettext(text, **said)


def _plain(choice: Choice, short: bool) -> Iterator[str]:
    """What it costs, why it and not another, what would change that.

    Args:
        short: a table of budgets stands below.
    """
    if choice.pick:
        yield _cost(choice, choice.pick)
        if is_within_noise(choice.pick, choice.comparison):
            yield gettext("Another compute dtype changes as much: that is numerical, not damage.")
    else:
        yield unsettled(choice)
        yield from _highest(choice)
    if not short and choice.not_worse:
        yield from _why(choice, choice.not_worse[0])
    if choice.pick and not choice.not_worse:
        yield unsettled(choice)
    yield from _what_would_change_it(choice)


def _cost(choice: Choice, row: Row) -> str:
    said = {"recipe": name_of(choice, row), **sizes(choice, row)}
    kept = share_kept(row)
    if kept and said["original"]:
        text = gettext_noop(
            "{recipe} takes {size} instead of {original} ({smaller} smaller), and for every 100 questions the "
            "original gets right it gets {kept} (sure to 95 %, {questions})."
        )
    elif kept:
        text = gettext_noop(
            "{recipe} takes {size}, and for every 100 questions the original gets right it gets {kept} (sure to "
            "95 %, {questions})."
        )
    elif row.unpaired_because:
        said["reason"] = translate(row.unpaired_because)
        text = gettext_noop("{recipe} takes {size}; how much accuracy it keeps is not known ({reason}).")
    elif row.versus_bf16:
        text = gettext_noop("{recipe} takes {size}; {questions} are too few to say how much accuracy it keeps.")
    elif any(each.is_baseline and each.error for each in choice.comparison.rows):
        text = gettext_noop("{recipe} takes {size}; the original failed, so how much accuracy it keeps is not known.")
    else:
        text = gettext_noop(
            "{recipe} takes {size}; the original is not measured, so how much accuracy it keeps is not known."
        )
    paired = row.versus_bf16
    asked = questions(paired.questions if paired else choice.questions)
    return gettext(text, kept=kept, questions=asked, **said)


def sizes(choice: Choice, row: Row) -> dict[str, str]:
    """Its `size`, the `original`'s, and how much `smaller` it is; empty texts where the original's is not known."""
    original = next(
        (each.size_bytes for each in choice.comparison.rows if each.is_baseline and each.size_bytes), None
    )
    if not original or not row.size_bytes:
        return {"size": size(row.size_bytes), "original": "", "smaller": ""}
    smaller = 100 * (1 - row.size_bytes / original)
    return {"size": size(row.size_bytes), "original": size(original), "smaller": f"{smaller:.0f} %"}


def share_kept(row: Row) -> str:
    """Right answers for every 100 of the original's: `93 to 97`; empty where that is not known."""
    paired = row.versus_bf16
    if paired is None or paired.percent_low is None or paired.percent_high is None:
        return ""
    low, high = f"{paired.percent_low:.0f}", f"{paired.percent_high:.0f}"
    return low if low == high else gettext("{low} to {high}", low=low, high=high)


def _why(choice: Choice, row: Row) -> Iterator[str]:
    others = [other for other in choice.rows if other is not row]
    asked, margin = questions(choice.questions), _margin(choice)
    if not others:
        yield gettext("It is the only smaller version that was measured.")
    elif choice.all_the_same:
        text = gettext_noop("They perform the same; take the smaller ({questions} show no difference of {margin}).")
        yield gettext(text, questions=asked, margin=margin)
    else:
        beaten = choice.worse_than(row)
        if beaten:
            yield gettext(
                "Clearly better than {recipes} ({questions}).", recipes=_several(choice, beaten), questions=asked
            )
        if larger := [other for other in choice.not_worse if other not in (row, *beaten)]:
            text = gettext_noop("As good as {recipes}, to within {margin}, and smaller ({questions}).")
            yield gettext(text, recipes=_several(choice, larger), margin=margin, questions=asked)
        if rest := [other for other in others if other not in (*beaten, *choice.not_worse)]:
            text = gettext_noop("{recipes} may be as good, but not better by {margin} ({questions}).")
            yield _capital(gettext(text, recipes=_several(choice, rest), margin=margin, questions=asked))


def unsettled(choice: Choice) -> str:
    """That the questions do not tell, and how many might."""
    needed, held = choice.questions_needed, choice.available
    best, said = choice.pick or choice.highest, {"asked": questions(choice.questions)}
    if needed is not None and (beaten := choice.worse_than(best)):
        text = gettext_noop(
            "{recipe} is clearly better than {recipes} ({asked}); its gaps to the rest could be luck, and about "
            "{needed} should settle them."
        )
        rivals = {"recipe": name_of(choice, best), "recipes": _several(choice, beaten)}
        return gettext(text, needed=questions(needed), **rivals, **said)
    if needed is not None:
        text = gettext_noop("With {asked} the gaps could be luck; about {needed} should settle it.")
        if choice.all_worse:  # so the gaps to the original are none
            text = gettext_noop(
                "With {asked} the gaps between smaller versions could be luck; about {needed} should settle it."
            )
        return gettext(text, needed=questions(needed), **said)
    if not choice.differences:
        return gettext("The recipes' answers cannot be compared question by question.")
    if held is None:
        return gettext("With {asked} the gaps could be luck, and more would hardly settle it.", **said)
    text = gettext_noop("With {asked} the gaps could be luck; all {held} of these tasks would hardly settle it.")
    return gettext(text, held=questions(held), **said)


def _highest(choice: Choice) -> Iterator[str]:
    best, smallest = choice.highest, choice.rows[0]
    if kept := share_kept(best):
        text = gettext_noop("{recipe} scored highest: for every 100 the original gets right, it gets {kept}.")
        yield gettext(text, recipe=name_of(choice, best), kept=kept)
    if smallest is not best and choice.differences and not choice.better_than(smallest):
        text = gettext_noop("Nothing here shows that the larger files beat {recipe}, the smallest.")
        yield gettext(text, recipe=name_of(choice, smallest))


def _what_would_change_it(choice: Choice) -> Iterator[str]:
    """Smaller recipes: what it would take for one of them to be the pick."""
    if choice.pick is None or not choice.not_worse:
        return
    smaller = choice.rows[: choice.rows.index(choice.pick)]
    if not smaller:
        return
    margin, row = min(((choice.margin_of(row), row) for row in smaller), key=lambda found: found[0])
    if margin >= 1:
        return
    said = {"recipe": name_of(choice, row), "size": size(row.size_bytes), "points": f"{100 * margin + 0.05:.1f}"}
    if row in choice.worse_than(choice.pick):
        text = gettext_noop("What would change this: if a loss of {points} points were fine, {recipe} ({size}).")
    else:
        text = gettext_noop(
            "What would change this: more questions may show that {recipe} ({size}) is as good; so far it may be up "
            "to {points} points worse."
        )
    yield gettext(text, **said)


def _of_budget(bits: float, choice: Choice) -> OfBudget:
    row = choice.pick
    if row is None:
        basis = gettext("no winner yet ({questions})", questions=questions(choice.questions))
        return OfBudget(f"{bits:g}", MISSING, MISSING, MISSING, basis)
    basis = gettext("as accurate as any other") if choice.not_worse else gettext("closest to the original")
    asked = f"{basis} ({questions(choice.questions)})"
    return OfBudget(f"{bits:g}", translate(row.title), size(row.size_bytes), share_kept(row) or MISSING, asked)


def _expert(choice: Choice) -> Iterator[str]:
    """Figures, intervals and corrections behind the claim."""
    row, comparison = choice.pick or choice.highest, choice.comparison
    if row.versus_bf16:
        yield _against_baseline(row, row.versus_bf16, len(choice.rows))
    elif row.unpaired_because:
        yield gettext("No interval: {reason}.", reason=row.unpaired_because)
    others = [
        (choice.differences.get((row.job_id, other.job_id)), other) for other in choice.rows if other is not row
    ]
    found = [(paired, other) for paired, other in others if paired]
    if found:
        paired, other = min(found, key=lambda each: abs(each[0].difference))
        text = gettext_noop("Nearest, {recipe}: {figures}; Holm-corrected over {n} pairs.")
        yield gettext(text, recipe=other.title, figures=_figures(paired), n=len(comparison.pairs))
    if row.divergence:
        yield gettext("KL divergence {kl} nats per token.", kl=divergence(row.divergence.kl))
    text = gettext_noop(
        "Rule: the smallest recipe that no other beats by {margin}: one-sided non-inferiority tests at {alpha} %, "
        "Holm-corrected over {n}; where none passes, the significantly lowest KL divergence. Intervals are of a "
        "paired bootstrap stratified by task, at least 95 % wide."
    )
    recipes = ngettext("{n} recipe", "{n} recipes", len(choice.rows))
    yield gettext(text, margin=_margin(choice), alpha=f"{100 * ALPHA:g}", n=recipes)


def _against_baseline(row: Row, paired: PairedDifference, quantized: int) -> str:
    said = {"recipe": row.title, "figures": _figures(paired), "n": quantized}
    if paired.percent_low is None or paired.percent_high is None:
        return gettext("{recipe}: {figures}; Holm-corrected over {n}.", **said)
    share = f"[{paired.percent_low:.1f}, {paired.percent_high:.1f}]"
    text = gettext_noop("{recipe}: {percent} of BF16 {interval}, {figures}; Holm-corrected over {n}.")
    return gettext(text, percent=percent(paired.percent), interval=share, **said)


def _figures(paired: PairedDifference) -> str:
    ends = f"[{points(paired.low)}, {points(paired.high)}]"
    said = {"points": points(paired.difference), "interval": ends, "p": equals(paired.p_holm)}
    return gettext("{points} points {interval}, p {p}", **said)


def _margin(choice: Choice) -> str:
    n = f"{100 * choice.margin:g}"
    return gettext("1 point") if n == "1" else gettext("{n} points", n=n)


def name_of(choice: Choice, row: Row) -> str:
    """A recipe inside a sentence, with its budget."""
    name, bits = translate(row.title), row.avg_bits
    if row.named or bits is None or len(choice.comparison.study.avg_bits) > 1:
        return name
    return gettext("{recipe}, {bits} bits", recipe=name, bits=f"{bits:g}")


def _several(choice: Choice, rows: Sequence[Row]) -> str:
    if len(rows) > NAMED:
        return gettext("{n} others", n=len(rows))
    return listed([translate(row.title) for row in rows])


def listed(names: Sequence[str]) -> str:
    """Names in a row: `A, B and C`."""
    if len(names) == 1:
        return names[0]
    return gettext("{some} and {last}", some=gettext(", ").join(names[:-1]), last=names[-1])


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
