"""What a comparison shows, in one sentence and at most three more, for a colleague and for an engineer.

Every claim rests on the paired statistics of the comparison and goes no further than they do.
"""

from dataclasses import dataclass

from qcompare.results.details import expert_details, plain_details, what_would_settle
from qcompare.results.finding import Finding, at_bits, find, listed, name_of, questions_to_settle
from qcompare.results.numbers import count_of
from qcompare.results.table import Comparison


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
    best, reference = comparison.best, comparison.reference
    if best is None:
        nothing = Wording(_nothing_yet(comparison))
        return Verdict(nothing, nothing)
    finding = find(comparison, best)
    if reference is None:
        without = f"Without BF16 it cannot be said how much of the model is kept{_and_what_failed(comparison)}."
        found = Wording(_so_far(comparison, _among_themselves(finding)), (without, *what_would_settle(finding)))
        return Verdict(found, found)
    return Verdict(
        Wording(_so_far(comparison, _claim(finding)), plain_details(finding)[:3]),
        Wording(_so_far(comparison, _claim(finding)), expert_details(finding)[:3]),
    )


def _nothing_yet(comparison: Comparison) -> str:
    if not comparison.study.tasks:
        return "This study asked no benchmark questions: see Generations."
    if comparison.reference:
        others = "no other recipe has a score" if comparison.status.ended else "the others are still to come"
        return f"BF16 is measured; {others}."
    return "No recipe has a score." if comparison.status.ended else "No recipe is finished yet."


def _and_what_failed(comparison: Comparison) -> str:
    return " (it failed)" if any(row.is_reference and row.error for row in comparison.rows) else ""


def _so_far(comparison: Comparison, claim: str) -> str:
    claim = claim if comparison.status.ended else f"so far, {claim[0].lower()}{claim[1:]}"
    return claim[0].upper() + claim[1:]


def _claim(finding: Finding) -> str:
    """The first sentence. A share is named only where the questions show a difference to BF16 at all."""
    best, asked = finding.best, count_of(finding.comparison.questions, "question")
    paired = best.versus_bf16
    if finding.open and not finding.beaten:
        return _cannot_tell(finding)
    if paired and not paired.is_real:
        return f"{at_bits(finding)}{asked} cannot tell {name_of(finding, best)} from BF16{_against_others(finding)}."
    if paired and paired.difference > 0:
        return f"{at_bits(finding)}{name_of(finding, best)} scores higher than BF16{_against_others(finding)}."
    kept = best.percent_of_bf16
    about = "an unknown share" if kept is None else f"about {kept:.0f} of 100"
    return f"{at_bits(finding)}{name_of(finding, best)} keeps {about} correct answers{_against_others(finding)}."


def _cannot_tell(finding: Finding) -> str:
    names = [name_of(finding, finding.best), *(name_of(finding, rival.row) for rival in finding.open)]
    which = "these recipes" if len(names) > 3 else listed(names)
    asked = count_of(finding.comparison.questions, "question")
    needed = questions_to_settle(finding)
    return f"{asked} cannot tell {which} apart" + (
        f"; about {count_of(needed, 'question')} would." if needed else "."
    )


def _among_themselves(finding: Finding) -> str:
    if finding.open and not finding.beaten:
        return _cannot_tell(finding)
    return f"{at_bits(finding)}{name_of(finding, finding.best)} has the best score{_against_others(finding)}."


def _against_others(finding: Finding) -> str:
    parts = []
    if finding.beaten:
        names = listed([name_of(finding, rival.row) for rival in finding.beaten])
        parts.append(f"; {'it' if finding.open else 'that'} beats {names}, and the difference is real")
    if finding.open:
        parts.append(f"; against {listed([name_of(finding, rival.row) for rival in finding.open])} it may be chance")
    return "".join(parts)
