"""All paired differences of a study: each recipe with BF16 and uniform, and the quantized ones among themselves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from qcompare.compare.answers import Answers
from qcompare.compare.metrics import MetricDifference, metric_differences
from qcompare.compare.resampling import Counts
from qcompare.compare.statistics import PairedDifference, paired_differences
from qcompare.compare.tally import tally
from qcompare.errors import QCompareError
from qcompare.study.frozen import Frozen
from qcompare.study.recipe import RECIPES, is_baseline
from qcompare.study.result import Result
from qcompare.words import Message


class Pair(Frozen):
    """Two quantized recipes."""

    job_id: str
    other_job_id: str
    difference: PairedDifference
    """Of the first minus the other; without tasks. Corrected for all pairs."""


@dataclass(frozen=True)
class Against:
    """How one result compares with the others of its table."""

    bf16: PairedDifference | None = None
    uniform: PairedDifference | None = None
    metrics: tuple[MetricDifference, ...] = ()
    """To BF16, of the tasks beside the average."""
    percent_of_bf16: float | None = None
    unpaired_because: Message | None = None

    def to(self, other: Result, difference: PairedDifference) -> "Against":
        """The same, with the difference to another result."""
        if is_baseline(other.recipe):
            return replace(self, bf16=difference)
        return replace(self, uniform=difference)


def within_group(
    group: Sequence[Result],
    answers: Mapping[str, Answers],
    tasks: Sequence[str],
    unreadable: Mapping[str, Message],
) -> dict[str, Against]:
    """How results that may be compared with each other do compare, by job id.

    Args:
        unreadable: by job id, why its answers lack.
    """
    found = {result.job_id: Against() for result in group}
    for other in _baselines(group):
        compared = _compared_with(other, group)
        differences, why = against(other, compared, answers, tasks)
        for result in compared:
            job_id = result.job_id
            if job_id in differences:
                found[job_id] = found[job_id].to(other, differences[job_id])
            elif job_id != other.job_id and tasks:
                because = why.get(job_id) or unreadable.get(job_id) or unreadable.get(other.job_id)
                found[job_id] = replace(found[job_id], unpaired_because=because)
        if is_baseline(other.recipe):
            for job_id, metrics in metric_differences(other, compared, answers).items():
                found[job_id] = replace(found[job_id], metrics=metrics)
        if is_baseline(other.recipe) and other.average:
            for result in group:
                percent = None if result.average is None else 100 * result.average / other.average
                found[result.job_id] = replace(found[result.job_id], percent_of_bf16=percent)
    return found


def _baselines(group: Sequence[Result]) -> Iterator[Result]:
    """The first baseline, and every uniform recipe: several studies may have one each."""
    yield from [result for result in group if is_baseline(result.recipe)][:1]
    yield from (result for result in group if result.recipe in RECIPES and RECIPES[result.recipe].is_lowest)


def _compared_with(other: Result, group: Sequence[Result]) -> list[Result]:
    """All results; with the same KV cache, those of a uniform recipe's own study, and of others that start from the
    same low scheme."""
    if is_baseline(other.recipe):
        return list(group)
    low, alike = {*other.layer_config.values()}, [result for result in group if result.kv_cache == other.kv_cache]
    return [result for result in alike if result.study_id == other.study_id or low & {*result.layer_config.values()}]


def against(
    other: Result, results: Sequence[Result], answers: Mapping[str, Answers], tasks: Sequence[str]
) -> tuple[dict[str, PairedDifference], dict[str, Message]]:
    """By job id: the difference of each result to one of them; and for those that have none, why.

    Corrected by Holm for all results, and task by task for all results and tasks.
    """
    if not tasks:
        return {}, {}
    counts: dict[str, dict[str, Counts]] = {}
    why: dict[str, Message] = {}
    for result in results:
        if result.job_id == other.job_id or result.job_id not in answers or other.job_id not in answers:
            continue
        try:
            counts[result.job_id] = tally(answers[result.job_id], answers[other.job_id], tasks)
        except QCompareError as error:
            why[result.job_id] = error.message
    return paired_differences(counts), why


def all_pairs(results: Sequence[Result], answers: Mapping[str, Answers], tasks: Sequence[str]) -> tuple[Pair, ...]:
    """Every two results that answered the same questions, corrected by Holm for all pairs."""
    counts: dict[tuple[str, str], dict[str, Counts]] = {}
    answered = [result.job_id for result in results if result.job_id in answers] if tasks else []
    for ours, theirs in combinations(answered, 2):
        try:
            counts[ours, theirs] = tally(answers[ours], answers[theirs], tasks)
        except QCompareError:
            continue  # why is said beside the row: the same keeps it from being compared with BF16
    return tuple(
        Pair(job_id=ours, other_job_id=theirs, difference=paired.model_copy(update={"tasks": ()}))
        for (ours, theirs), paired in paired_differences(counts).items()
    )
