"""What a comparison shows, in one sentence and at most three more, for a colleague and for an engineer.

Every claim rests on the paired statistics of the comparison and goes no further than they do. The best recipe is
picked after seeing the scores, so it is held against the others by the p-values corrected for all pairs.
"""

from dataclasses import dataclass
from math import hypot

from qcompare.results.numbers import count_of, divergence, percent, points, probability
from qcompare.results.statistics import Z95, PairedDifference, questions_needed, rounded_up
from qcompare.results.table import Comparison, Row
from qcompare.study.presets import RECIPES, TASKS

EDGES = ("head", "tail")


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


@dataclass(frozen=True)
class Rival:
    """Another quantized recipe, as the best one stands to it."""

    row: Row
    paired: PairedDifference
    """Of the best minus this one."""


@dataclass(frozen=True)
class _Finding:
    comparison: Comparison
    best: Row
    beaten: tuple[Rival, ...]
    """Really behind the best."""
    open: tuple[Rival, ...]
    """Not to be told from the best by so many questions; the nearest first."""


def verdict(comparison: Comparison) -> Verdict:
    """Say what the finished recipes show."""
    best, reference = comparison.best, comparison.reference
    if best is None:
        nothing = Wording(_nothing_yet(comparison))
        return Verdict(nothing, nothing)
    finding = _Finding(comparison, best, *_rivals(comparison, best))
    if reference is None:
        without = f"Without BF16 it cannot be said how much of the model is kept{_and_what_failed(comparison)}."
        found = Wording(_so_far(comparison, _among_themselves(finding)), (without, *_settle(finding)))
        return Verdict(found, found)
    return Verdict(
        Wording(_so_far(comparison, _claim(finding)), _plain_details(finding)[:3]),
        Wording(_so_far(comparison, _claim(finding)), _expert_details(finding)[:3]),
    )


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


def _claim(finding: _Finding) -> str:
    """The first sentence. A share is named only where the questions show a difference to BF16 at all."""
    best, asked = finding.best, count_of(finding.comparison.questions, "question")
    paired = best.versus_bf16
    if finding.open and not finding.beaten:
        return _cannot_tell(finding)
    if paired and not paired.is_real:
        return f"{_at(finding)}{asked} cannot tell {_name(finding, best)} from BF16{_against_others(finding)}."
    if paired and paired.difference > 0:
        return f"{_at(finding)}{_name(finding, best)} scores higher than BF16{_against_others(finding)}."
    kept = best.percent_of_bf16
    about = "an unknown share" if kept is None else f"about {kept:.0f} of 100"
    return f"{_at(finding)}{_name(finding, best)} keeps {about} correct answers{_against_others(finding)}."


def _cannot_tell(finding: _Finding) -> str:
    names = [_name(finding, finding.best), *(_name(finding, rival.row) for rival in finding.open)]
    which = "these recipes" if len(names) > 3 else _and(names)
    asked = count_of(finding.comparison.questions, "question")
    needed = _needed(finding)
    return f"{asked} cannot tell {which} apart" + (
        f"; about {count_of(needed, 'question')} would." if needed else "."
    )


def _among_themselves(finding: _Finding) -> str:
    if finding.open and not finding.beaten:
        return _cannot_tell(finding)
    return f"{_at(finding)}{_name(finding, finding.best)} has the best score{_against_others(finding)}."


def _against_others(finding: _Finding) -> str:
    parts = []
    if finding.beaten:
        names = _and([_name(finding, rival.row) for rival in finding.beaten])
        parts.append(f"; {'it' if finding.open else 'that'} beats {names}, and the difference is real")
    if finding.open:
        parts.append(f"; against {_and([_name(finding, rival.row) for rival in finding.open])} it may be chance")
    return "".join(parts)


def _plain_details(finding: _Finding) -> tuple[str, ...]:
    best, paired = finding.best, finding.best.versus_bf16
    if paired is None:
        return (f"No interval: {best.unpaired_because}.",) if best.unpaired_because else ()
    said = []
    if paired.percent_low is not None and paired.percent_high is not None:
        low, high = paired.percent_low, paired.percent_high
        named = "It" if finding.beaten or not finding.open else f"The highest, {_name(finding, best)},"
        said.append(f"{named} keeps between {low:.0f} and {high:.0f} of 100 of BF16’s correct answers.")
    return (*said, *_closest(finding), *_surprise(finding), *_settle(finding))


def _closest(finding: _Finding) -> tuple[str, ...]:
    """Which recipe predicts most like BF16, word by word, where the difference to the next exceeds its error.

    The errors are taken as independent; both recipes read the same text, so the real error is smaller.
    """
    found = sorted(
        (row.divergence.kl, row.divergence.kl_stderr, _name(finding, row))
        for row in finding.comparison.scored
        if row.divergence and row.divergence.kl_stderr is not None and not row.is_reference
    )
    if len(found) < 2:
        return ()
    (kl, error, name), (next_kl, next_error, next_name) = found[:2]
    if next_kl - kl <= Z95 * hypot(error, next_error):
        return ()
    figures = f"KL {divergence(kl)}, next {next_name} with {divergence(next_kl)}"
    return (f"Word by word, {name} predicts most like BF16 ({figures}).",)


def _surprise(finding: _Finding) -> tuple[str, ...]:
    """What a reader would not expect: cheap recipes that do as well or better."""
    beaten = {rival.row.recipe for rival in finding.beaten}
    level = {rival.row.recipe for rival in finding.open}
    if finding.best.recipe == "uniform":
        return ("No gain from the other recipes’ extra bits is shown: uniform is smallest and scores highest.",)
    if finding.best.recipe in EDGES and "mixed" in beaten:
        return ("Here a simple rule does better than choosing layers by their sensitivity.",)
    if "uniform" in level:
        return ("No gain over uniform, the smallest, is shown.",)
    return ()


def _settle(finding: _Finding) -> tuple[str, ...]:
    """How many questions would settle what is open, unless the claim has said it."""
    if not finding.open:
        return ()
    nearest = finding.open[0]
    ours, theirs = _name(finding, finding.best), _name(finding, nearest.row)
    needed = _needed(finding)
    if needed is None:
        gap = f"{abs(nearest.paired.difference) * 100:.1f} points"
        return (f"More questions would hardly settle {ours} against {theirs}: they are {gap} apart.",)
    if not finding.beaten and finding.comparison.reference is not None:
        return ()
    return (f"About {count_of(needed, 'question')} would probably settle {ours} against {theirs}.",)


def _needed(finding: _Finding) -> int | None:
    """Questions that would settle the best against its nearest rival; None when these tasks do not hold as many."""
    times = questions_needed(finding.open[0].paired, max(1, len(finding.comparison.pairs)))
    asked = finding.comparison.questions
    there_are = sum(TASKS[task].questions for task in finding.comparison.study.tasks if task in TASKS)
    if times is None or times * asked > there_are:
        return None
    return rounded_up(max(times * asked, asked + 1))


def _expert_details(finding: _Finding) -> tuple[str, ...]:
    best, paired = finding.best, finding.best.versus_bf16
    if paired is None:
        return (f"No interval: {best.unpaired_because}.",) if best.unpaired_because else ()
    quantized = sum(1 for row in finding.comparison.scored if not row.is_reference)
    share = (
        f"{percent(paired.percent)} of BF16 [{paired.percent_low:.1f}, {paired.percent_high:.1f}], "
        if paired.percent_low is not None
        else ""
    )
    said = [f"{best.title}: {share}{_figures(paired)}; Holm over {quantized}."]
    nearest = (*finding.open, *finding.beaten)[:1]
    if nearest:
        pairs = len(finding.comparison.pairs)
        said.append(f"Nearest, {nearest[0].row.title}: {_figures(nearest[0].paired)}; Holm over {pairs} pairs.")
    said.append(
        "Paired bootstrap stratified by task, 95 %; on this study’s questions a difference to BF16 shows from about "
        f"{(paired.high - paired.low) * 50:.1f} points."
    )
    return tuple(said)


def _figures(paired: PairedDifference) -> str:
    ends = f"[{points(paired.low)}, {points(paired.high)}]"
    return f"{points(paired.difference)} points {ends}, p = {probability(paired.p_holm)}"


def _at(finding: _Finding) -> str:
    several = len(finding.comparison.study.avg_bits) > 1
    bits = finding.best.avg_bits
    return "" if bits is None or several else f"at {bits:g} bits "


def _name(finding: _Finding, row: Row) -> str:
    """A recipe inside a sentence."""
    known = RECIPES.get(row.recipe)
    name = f"the {known.title.lower()} recipe" if known else f"the recipe {row.recipe}"
    several = len(finding.comparison.study.avg_bits) > 1
    named = f"{name} at {row.avg_bits:g} bits" if several and row.avg_bits is not None else name
    return f"{named} ({row.label})" if row.label else named


def _and(names: list[str]) -> str:
    short = [names[0], *(name.removeprefix("the ") for name in names[1:])]
    if len(names) == 1:
        return names[0]
    if all(name.endswith(" recipe") for name in short):
        short = [
            *(name.removesuffix(" recipe") for name in short[:-1]),
            short[-1].removesuffix(" recipe") + " recipes",
        ]
    return f"{', '.join(short[:-1])} and {short[-1]}"
