"""The sentences below a verdict's claim: for a colleague, and for an engineer."""

from math import hypot

from qcompare.results.chance import Z95
from qcompare.results.finding import Finding, name_of, questions_to_settle
from qcompare.results.numbers import count_of, divergence, equals, percent, points
from qcompare.results.resolution import shown_difference
from qcompare.results.statistics import PairedDifference

EDGES = ("head", "tail")


def plain_details(finding: Finding) -> tuple[str, ...]:
    """What is kept, what surprises, what would settle the rest; the most important first."""
    best, paired = finding.best, finding.best.versus_bf16
    if paired is None:
        return (f"No interval: {best.unpaired_because}.",) if best.unpaired_because else ()
    said = []
    if paired.percent_low is not None and paired.percent_high is not None:
        low, high = paired.percent_low, paired.percent_high
        named = "It" if finding.beaten or not finding.open else f"The highest, {name_of(finding, best)},"
        said.append(f"{named} keeps between {low:.0f} and {high:.0f} of 100 of BF16’s correct answers.")
    return (*said, *_closest(finding), *_surprise(finding), *what_would_settle(finding))


def _closest(finding: Finding) -> tuple[str, ...]:
    """Which recipe predicts most like BF16, word by word, where the difference to the next exceeds its error.

    The errors are taken as independent; both recipes read the same text, so the real error is smaller.
    """
    found = sorted(
        (row.divergence.kl, row.divergence.kl_stderr, name_of(finding, row))
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


def _surprise(finding: Finding) -> tuple[str, ...]:
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


def what_would_settle(finding: Finding) -> tuple[str, ...]:
    """How many questions would settle what is open, unless the claim has said it."""
    if not finding.open:
        return ()
    nearest = finding.open[0]
    ours, theirs = name_of(finding, finding.best), name_of(finding, nearest.row)
    needed = questions_to_settle(finding)
    if needed is None:
        gap = f"{abs(nearest.paired.difference) * 100:.1f} points"
        return (f"More questions would hardly settle {ours} against {theirs}: they are {gap} apart.",)
    if not finding.beaten and finding.comparison.reference is not None:
        return ()
    return (f"About {count_of(needed, 'question')} would probably settle {ours} against {theirs}.",)


def expert_details(finding: Finding) -> tuple[str, ...]:
    """Figures, intervals and corrections behind the claim."""
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
        "Paired bootstrap stratified by task; intervals are 95 % or wider, as Holm’s rule asks, and leave zero out "
        "just where p < 0.05. On this study’s questions a difference to BF16 shows from about "
        f"{100 * shown_difference(paired):.1f} points."
    )
    return tuple(said)


def _figures(paired: PairedDifference) -> str:
    ends = f"[{points(paired.low)}, {points(paired.high)}]"
    return f"{points(paired.difference)} points {ends}, p {equals(paired.p_holm)}"
