"""What a comparison shows, in two or three sentences that claim no more than the intervals allow.

The best recipe is picked after seeing the scores, so it is compared with each other one at a level corrected for all
pairs that could have been picked (Bonferroni).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot
from typing import TYPE_CHECKING

from qcompare.errors import QCompareError
from qcompare.results import numbers
from qcompare.results.numbers import percent, points
from qcompare.results.paired import PairedDifference, paired_difference
from qcompare.results.table import Comparison, Row
from qcompare.study.presets import RECIPES
from qcompare.study.spec import Study

if TYPE_CHECKING:
    import pandas as pd

Z95 = 1.96
"""Standard errors of a 95 % interval."""
NO_TRAINING_DATA = {"hellaswag", "piqa", "winogrande"}
"""Tasks whose few-shot examples lm-eval takes from training data, which the demo bundle does not hold."""


@dataclass(frozen=True)
class Headline:
    """A claim and what it rests on."""

    claim: str
    """One sentence."""
    details: tuple[str, ...]
    """Sentences."""


def headline(comparison: Comparison, answers: Mapping[str, "pd.Series[float]"]) -> Headline:
    """Say what the finished recipes show.

    Args:
        answers: by job id, as from `read_answers`.
    """
    best, reference = comparison.best, comparison.reference
    if best is None:
        return Headline(_nothing_yet(comparison), ())
    if reference is None:
        return Headline(
            f"{best.title} has the best score so far.",
            ("Without BF16 it cannot be said how much of the model is kept.",),
        )
    claim = f"{'' if comparison.status.ended else 'So far: '}{_claim(comparison, best)}"
    details = (*_against_bf16(best), *_against_others(comparison, best, answers), *_closest(comparison))
    return Headline(claim[0].upper() + claim[1:], details)


def _claim(comparison: Comparison, best: Row) -> str:
    """The first sentence: a percentage only where the questions show a difference at all."""
    if best.versus_bf16 and not best.versus_bf16.is_real:
        return f"{_budget(best)}{_questions(comparison)} cannot tell {_subject(best)} from BF16."
    return f"{_budget(best)}{_subject(best)} keeps {percent(best.percent_of_bf16)} of BF16’s average score."


def _closest(comparison: Comparison) -> tuple[str, ...]:
    """Which recipe predicts most like BF16, word by word, where the difference to the next exceeds its error.

    The errors are taken as independent; both recipes read the same text, so the real error is smaller.
    """
    rows = sorted(
        ((row.divergence.kl, row.divergence.kl_stderr, row.title) for row in comparison.rows
         if row.divergence and row.divergence.kl_stderr is not None and not row.is_reference),
    )  # fmt: skip
    if len(rows) < 2:
        return ()
    (kl, error, name), (next_kl, next_error, next_name) = rows[:2]
    if next_kl - kl <= Z95 * hypot(error, next_error):
        return ()
    return (
        f"Word by word, {name} predicts most like BF16: KL {numbers.divergence(kl)}, "
        f"next {next_name} with {numbers.divergence(next_kl)}.",
    )


def caveats(comparison: Comparison) -> tuple[str, ...]:
    """What limits a comparison: how much was asked, on which data, and what was not measured."""
    notes = []
    if comparison.questions:
        notes.append(f"{_questions(comparison)} a recipe.")
    if any(row.simulated and not row.is_reference for row in comparison.rows):
        notes.append("Simulated formats: accuracy is faithful, speed is not measured.")
    if any("demo" in source for source in comparison.data):
        notes.append(f"Questions from the demo bundle{_differences(comparison.study)}.")
    failed = [row.title for row in comparison.rows if row.error]
    if failed:
        notes.append(f"Failed and left out: {', '.join(failed)}.")
    return tuple(notes)


def _differences(study: Study) -> str:
    """What makes scores on the bundle's data differ from published ones."""
    notes = []
    if "lambada_openai" in study.tasks:
        notes.append("LAMBADA without its paragraph breaks")
    if study.num_fewshot and set(study.tasks) & NO_TRAINING_DATA:
        notes.append("few-shot examples from the validation questions")
    return f" ({', '.join(notes)})" if notes else ""


def _questions(comparison: Comparison) -> str:
    return f"{comparison.questions:,} questions".replace(",", "\u202f")


def _nothing_yet(comparison: Comparison) -> str:
    if not comparison.study.tasks:
        return "This study asked no benchmark questions: see Generations."
    if comparison.reference:
        return "BF16 is measured; the quantized recipes are still to come."
    return "No recipe has a score." if comparison.status.ended else "No recipe is finished yet."


def _budget(row: Row) -> str:
    return f"at {row.avg_bits:g} bits, " if row.avg_bits is not None else ""


def _subject(row: Row) -> str:
    """The recipe inside a sentence; its budget is said before it."""
    if row.avg_bits is None:
        return row.title
    return RECIPES[row.recipe].title.lower() if row.recipe in RECIPES else row.recipe


def _against_bf16(best: Row) -> tuple[str, ...]:
    paired = best.versus_bf16
    if paired is None:
        return (f"No interval: {best.unpaired_because}.",) if best.unpaired_because else ()
    interval = f"95 % interval {points(paired.low)} to {points(paired.high)} points"
    if paired.is_real:
        word = "loss" if paired.difference < 0 else "gain"
        return (f"The {word} against BF16 is real: {points(paired.difference)} points, {interval}.",)
    share = percent(best.percent_of_bf16)
    return (f"It has {share} of BF16’s average score: {points(paired.difference)} points, {interval}.",)


def _against_others(comparison: Comparison, best: Row, answers: Mapping[str, "pd.Series[float]"]) -> tuple[str, ...]:
    others = [row for row in comparison.scored if not row.is_reference and row is not best]
    pairs = len(others) * (len(others) + 1) // 2
    ahead: list[str] = []
    open_: list[str] = []
    for row in others:
        paired = _pair(comparison, best, row, answers, level=1 - 0.05 / pairs)
        if paired is not None:
            (ahead if paired.low > 0 else open_).append(row.title)
    if not ahead and not open_:
        return ()
    if not ahead:
        return (f"{_questions(comparison)} cannot tell it from {_or(open_)}: ask more.",)
    lead = f"It is ahead of {_and(ahead)} (paired, 95 %, corrected for {pairs} comparisons)"
    return (f"{lead}; against {_and(open_)} the difference may be chance." if open_ else f"{lead}.",)


def _pair(
    comparison: Comparison, best: Row, other: Row, answers: Mapping[str, "pd.Series[float]"], level: float
) -> PairedDifference | None:
    if best.job_id not in answers or other.job_id not in answers:
        return None
    try:
        return paired_difference(answers[best.job_id], answers[other.job_id], comparison.study.tasks, level)
    except QCompareError:
        return None


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _or(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
