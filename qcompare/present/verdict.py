"""What a comparison shows, in one sentence and at most three more, for a colleague and for an engineer.

Every claim rests on the paired statistics of the comparison and goes no further than they do.
"""

from dataclasses import dataclass

from qcompare.compare.ranking import Ranking, rank
from qcompare.compare.table import Comparison
from qcompare.present.details import expert_details, plain_details, what_would_decide
from qcompare.present.naming import at_bits, listed, name_of
from qcompare.present.numbers import questions
from qcompare.words import gettext


@dataclass(frozen=True)
class Wording:
    """A claim and what it rests on."""

    claim: str
    """One sentence."""
    details: tuple[str, ...] = ()
    """Sentences, three at most."""

    @property
    def text(self) -> str:
        """All of it, to be copied."""
        return " ".join((self.claim, *self.details))


@dataclass(frozen=True)
class Verdict:
    """The same finding in two wordings."""

    plain: Wording
    expert: Wording


def verdict(comparison: Comparison) -> Verdict:
    """Say what the finished recipes show."""
    best, baseline = comparison.best, comparison.baseline
    if best is None:
        nothing = Wording(_nothing_yet(comparison))
        return Verdict(nothing, nothing)
    ranking = rank(comparison, best)
    if baseline is None:
        said = _without_baseline(comparison)
        found = Wording(_so_far(comparison, _among_themselves(ranking)), (said, *what_would_decide(ranking)))
        return Verdict(found, found)
    return Verdict(
        Wording(_so_far(comparison, _claim(ranking)), plain_details(ranking)[:3]),
        Wording(_so_far(comparison, _claim(ranking)), expert_details(ranking)[:3]),
    )


def _nothing_yet(comparison: Comparison) -> str:
    if not comparison.study.tasks:
        return gettext("This study asked no benchmark questions: see Generations.")
    if any(row.tasks for row in comparison.rows) and not comparison.tasks:
        return gettext("None of these tasks is scored by accuracy: the table shows their metrics.")
    if comparison.baseline:
        if comparison.status.ended:
            return gettext("BF16 is measured; no other recipe has a score.")
        return gettext("BF16 is measured; the others are still to come.")
    return gettext("No recipe has a score.") if comparison.status.ended else gettext("No recipe is finished yet.")


def _without_baseline(comparison: Comparison) -> str:
    if any(row.is_baseline and row.error for row in comparison.rows):
        return gettext("Without BF16 it cannot be said how much of the model is kept (it failed).")
    return gettext("Without BF16 it cannot be said how much of the model is kept.")


def _so_far(comparison: Comparison, claim: str) -> str:
    if not comparison.status.ended:
        claim = gettext("so far, {claim}", claim=claim[0].lower() + claim[1:])
    return claim[0].upper() + claim[1:]


def _claim(ranking: Ranking) -> str:
    """The first sentence. A share is named only where the questions show a difference to BF16 at all."""
    best, paired = ranking.best, ranking.best.versus_bf16
    said = {"at": at_bits(ranking), "recipe": name_of(ranking, best), "others": _against_others(ranking)}
    if ranking.open and not ranking.beaten:
        return _cannot_tell(ranking)
    if paired and not paired.is_significant:
        asked = questions(ranking.comparison.questions)
        return gettext("{at}{questions} cannot tell {recipe} from BF16{others}.", questions=asked, **said)
    if paired and paired.difference > 0:
        return gettext("{at}{recipe} scores higher than BF16{others}.", **said)
    if best.percent_of_bf16 is None:
        return gettext("{at}{recipe} keeps an unknown share of correct answers{others}.", **said)
    kept = f"{best.percent_of_bf16:.0f}"
    return gettext("{at}{recipe} keeps about {kept} of 100 correct answers{others}.", kept=kept, **said)


def _cannot_tell(ranking: Ranking) -> str:
    names = [name_of(ranking, ranking.best), *(name_of(ranking, rival.row) for rival in ranking.open)]
    which = gettext("these recipes") if len(names) > 3 else listed(names)
    asked = questions(ranking.comparison.questions)
    needed = ranking.questions_needed
    if needed is None:
        return gettext("{questions} cannot tell {recipes} apart.", questions=asked, recipes=which)
    return gettext(
        "{questions} cannot tell {recipes} apart; about {needed} would.",
        questions=asked, recipes=which, needed=questions(needed),
    )  # fmt: skip


def _among_themselves(ranking: Ranking) -> str:
    if ranking.open and not ranking.beaten:
        return _cannot_tell(ranking)
    said = {"recipe": name_of(ranking, ranking.best), "others": _against_others(ranking)}
    return gettext("{at}{recipe} has the best score{others}.", at=at_bits(ranking), **said)


def _against_others(ranking: Ranking) -> str:
    parts = []
    if ranking.beaten:
        names = listed([name_of(ranking, rival.row) for rival in ranking.beaten])
        parts.append(gettext("; it is significantly better than {recipes}", recipes=names))
    if ranking.open:
        names = listed([name_of(ranking, rival.row) for rival in ranking.open])
        parts.append(gettext("; against {recipes} it may be chance", recipes=names))
    return "".join(parts)
