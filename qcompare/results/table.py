"""A study's results as one comparison: the table that every view shows and `show --format json` prints."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qcompare.errors import QCompareError
from qcompare.results.paired import PairedDifference, paired_difference, read_answers
from qcompare.store import Store
from qcompare.study.presets import RECIPES
from qcompare.study.records import (
    SCHEMA_VERSION,
    Bits,
    Divergence,
    Environment,
    Job,
    ModelRef,
    Result,
    Status,
    StudyRecord,
    TaskScore,
)
from qcompare.study.spec import Frozen, Study

if TYPE_CHECKING:
    import pandas as pd

REFERENCE = "bf16"
"""The recipe that all others are measured against."""
SAME_FIELDS = (
    *("size_bytes", "average", "average_stderr", "simulated", "rounding", "calibration", "seconds"),
    *("peak_memory_bytes", "environment", "divergence", "scorer"),
)
"""Fields that a row takes from a result as they are."""


class Row(Frozen):
    """One recipe at one budget. Fields are None as long as, or because, there is no result."""

    job_id: str
    recipe: str
    title: str
    """For people; with the budget where a study has several."""
    avg_bits: float | None
    """Budget; None for recipes that take none."""
    status: Status
    error: str | None
    """One line: why it failed."""
    bits: Bits | None = None
    """Average bits of the quantized weights, asked and achieved, without and with scales."""
    bits_per_weight: float | None = None
    """All stored bytes × 8 / all parameters."""
    size_bytes: int | None = None
    average: float | None = None
    """Mean of `acc` over the study's tasks."""
    average_stderr: float | None = None
    percent_of_bf16: float | None = None
    """average / average of BF16 × 100."""
    tasks: tuple[TaskScore, ...] = ()
    versus_bf16: PairedDifference | None = None
    versus_uniform: PairedDifference | None = None
    unpaired_because: str | None = None
    """Why there is no paired difference although both recipes have a score."""
    divergence: Divergence | None = None
    """KL divergence to the original, top-1 agreement, perplexity on held-out text."""
    scorer: str | None = None
    """How log-likelihoods were computed."""
    simulated: bool | None = None
    rounding: str | None = None
    calibration: str | None = None
    seconds: dict[str, float] = {}  # noqa: RUF012  pydantic copies defaults
    """Seconds per stage."""
    peak_memory_bytes: int | None = None
    environment: Environment | None = None
    """Device, compute dtype, library versions."""

    @property
    def is_reference(self) -> bool:
        """This is BF16."""
        return self.recipe == REFERENCE

    def task(self, name: str) -> TaskScore | None:
        """This recipe's score on a task."""
        return next((score for score in self.tasks if score.task == name), None)


class Comparison(Frozen):
    """All recipes of a study, side by side. Its JSON form is the documented output of `show --format json`."""

    schema_version: int = SCHEMA_VERSION
    study_id: str
    name: str
    created: float
    """Seconds since 1970."""
    status: Status
    study: Study
    """What was asked."""
    model: ModelRef | None
    """None until a first recipe is done."""
    rows: tuple[Row, ...]
    """In the order of the jobs."""

    @property
    def scored(self) -> tuple[Row, ...]:
        """Rows with an average."""
        return tuple(row for row in self.rows if row.average is not None)

    @property
    def reference(self) -> Row | None:
        """BF16, when it has a score."""
        return next((row for row in self.scored if row.is_reference), None)

    @property
    def best(self) -> Row | None:
        """The quantized recipe with the highest average; the first of equals."""
        return max((row for row in self.scored if not row.is_reference), key=_average, default=None)

    @property
    def highest(self) -> tuple[Row, ...]:
        """Quantized rows with the best average, equals included; none while there is nothing to be better than."""
        quantized = [row for row in self.scored if not row.is_reference]
        return tuple(
            row for row in quantized if self.best and row.average == self.best.average and len(quantized) > 1
        )

    @property
    def questions(self) -> int:
        """Questions that each recipe answered."""
        return max((sum(task.n for task in row.tasks) for row in self.rows), default=0)

    @property
    def data(self) -> tuple[str, ...]:
        """Where the questions came from."""
        return tuple(sorted({task.data for row in self.rows for task in row.tasks}))


def _average(row: Row) -> float:
    return row.average or 0.0


def read_comparison(store: Store, study_id: str) -> Comparison:
    """The comparison of a stored study, as far as its recipes are done.

    Raises:
        NotFound: there is no such study, or a newer qcompare wrote its results.
    """
    study = store.study(study_id)
    results = store.results(study.id)
    answers, unreadable = read_all_answers(store, results)
    return compare(study, store.jobs(study.id), results, answers, unreadable)


def read_all_answers(store: Store, results: Sequence[Result]) -> tuple[dict[str, "pd.Series[float]"], dict[str, str]]:
    """By job id: its answers, and for those that cannot be read, why."""
    answers: dict[str, pd.Series[float]] = {}
    unreadable: dict[str, str] = {}
    for result in results:
        if not result.tasks:
            continue
        try:
            answers[result.job_id] = read_answers(store.folder(result.job_id).samples_file)
        except QCompareError as error:
            unreadable[result.job_id] = str(error)
    return answers, unreadable


def compare(
    study: StudyRecord,
    jobs: Sequence[Job],
    results: Sequence[Result],
    answers: Mapping[str, "pd.Series[float]"],
    unreadable: Mapping[str, str] | None = None,
) -> Comparison:
    """Lay out the rows of a study.

    Args:
        answers: by job id, as from `read_answers`; may lack some.
        unreadable: by job id, why answers lack.
    """
    found = {result.job_id: result for result in results}
    others = {result.recipe: result for result in results if result.recipe in (REFERENCE, "uniform")}
    several = len(study.spec.avg_bits) > 1
    rows = []
    for job in jobs:
        result = found.get(job.id)
        values = _measured(result, others, study.spec.tasks, answers, unreadable or {}) if result else {}
        name = title(job.recipe, job.avg_bits, several)
        given = {"job_id": job.id, "recipe": job.recipe, "title": name, "avg_bits": job.avg_bits}
        rows.append(Row.model_validate({**given, "status": job.status, "error": job.error, **values}))
    return Comparison(
        study_id=study.id,
        name=study.name,
        created=study.created,
        status=study.status,
        study=study.spec,
        model=results[0].model if results else None,
        rows=tuple(rows),
    )


def title(recipe: str, avg_bits: float | None, several: bool) -> str:
    """A recipe's name for people, with the budget where a study has several."""
    name = RECIPES[recipe].title if recipe in RECIPES else recipe
    return f"{name} · {avg_bits:g} bits" if several and avg_bits is not None else name


def _measured(
    result: Result,
    others: Mapping[str, Result],
    tasks: Sequence[str],
    answers: Mapping[str, "pd.Series[float]"],
    unreadable: Mapping[str, str],
) -> dict[str, object]:
    """The fields of a row that come from its result, and from its comparison with others by recipe."""
    of_bf16, reference = None, others.get(REFERENCE)
    if reference and reference.average and result.average is not None:
        of_bf16 = 100 * result.average / reference.average
    values: dict[str, object] = {
        "bits": result.bits,
        "bits_per_weight": 8 * result.size_bytes / result.model.num_params,
        "tasks": tuple(result.tasks),
        "percent_of_bf16": of_bf16,
    }
    values |= {field: getattr(result, field) for field in SAME_FIELDS}
    for recipe, other in others.items():
        if other.job_id != result.job_id:
            values |= _paired(f"versus_{recipe}", result, other, tasks, answers, unreadable)
    return values


def _paired(
    field: str,
    ours: Result,
    theirs: Result,
    tasks: Sequence[str],
    answers: Mapping[str, "pd.Series[float]"],
    unreadable: Mapping[str, str],
) -> dict[str, object]:
    for result in (ours, theirs):
        if result.job_id not in answers:
            return {"unpaired_because": unreadable.get(result.job_id)}
    try:
        return {field: paired_difference(answers[ours.job_id], answers[theirs.job_id], tasks)}
    except QCompareError as error:
        return {"unpaired_because": str(error)}
