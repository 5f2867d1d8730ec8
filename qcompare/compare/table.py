"""A study's results as one comparison: the table that every view shows and `show --format json` prints."""

from collections.abc import Mapping, Sequence

from qcompare.compare.answers import Answers, read_all_answers
from qcompare.compare.comparable import group_results, set_apart
from qcompare.compare.differences import Pair, all_pairs, within_group
from qcompare.compare.selection import BETWEEN, REFERENCE, Selection, read_selection
from qcompare.compare.statistics import PairedDifference
from qcompare.store import Store
from qcompare.study.frozen import Frozen
from qcompare.study.records import Status
from qcompare.study.result import (
    SCHEMA_VERSION,
    AwqReport,
    Bits,
    Divergence,
    Environment,
    ModelRef,
    Result,
    TaskScore,
)
from qcompare.study.spec import Study

SAME_FIELDS = (
    *("size_bytes", "average", "average_stderr", "simulated", "rounding", "calibration", "seconds"),
    *("peak_memory_bytes", "environment", "divergence", "scorer", "awq"),
)
"""Fields that a row takes from a result as they are."""


class Row(Frozen):
    """One recipe at one budget. Fields are None as long as, or because, there is no result."""

    job_id: str
    recipe: str
    title: str
    """For people; with the budget where a study has several, and with what tells its study from others."""
    label: str = ""
    """What tells its study from the others it is compared with; empty in the comparison of a single study."""
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
    group: int = 0
    """Rows are compared only inside a group: see `Comparison.set_apart`."""
    versus_bf16: PairedDifference | None = None
    versus_uniform: PairedDifference | None = None
    unpaired_because: str | None = None
    """Why there is no paired difference although both recipes have a score."""
    divergence: Divergence | None = None
    """KL divergence to the original, top-1 agreement, perplexity on held-out text."""
    scorer: str | None = None
    """How log-likelihoods were computed."""
    awq: AwqReport | None = None
    """What AWQ did; recipes with AWQ only."""
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
    """All recipes of a study, or of several of one model, side by side. Its JSON form is the documented output of
    `show --format json`."""

    schema_version: int = SCHEMA_VERSION
    study_id: str
    """Of several studies their ids, with commas between."""
    name: str
    created: float
    """Seconds since 1970."""
    status: Status
    study: Study
    """What was asked; of several studies the first one's settings, with the tasks, prompts and budgets of all."""
    model: ModelRef | None
    """None until a first recipe is done."""
    rows: tuple[Row, ...]
    """In the order of the jobs."""
    pairs: tuple[Pair, ...] = ()
    """The quantized recipes of the first group among themselves."""
    tags: tuple[str, ...] = ()
    set_apart: tuple[str, ...] = ("",)
    """By group: under what other conditions its rows were measured; empty for the first."""

    repeated: tuple[str, ...] = ()
    """Rows that several of the compared studies have alike: each is shown once."""

    @property
    def several(self) -> bool:
        """These are rows of several studies."""
        return BETWEEN in self.study_id

    @property
    def scored(self) -> tuple[Row, ...]:
        """Rows with an average, of the first group: those that may be compared."""
        return tuple(row for row in self.rows if row.average is not None and row.group == 0)

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
    """The comparison of a stored study, or of several, as far as their recipes are done.

    Args:
        study_id: of several studies their ids, with commas between.

    Raises:
        NotFound: there is no such study, or a newer qcompare wrote its results.
        QCompareError: several studies of different models.
    """
    selection = read_selection(store, study_id)
    return compare(selection, *read_all_answers(store, selection.results))


def compare(
    selection: Selection, answers: Mapping[str, Answers], unreadable: Mapping[str, str] | None = None
) -> Comparison:
    """Lay out the rows of one or several studies.

    Args:
        answers: by job id; may lack some.
        unreadable: by job id, why answers lack.
    """
    study, titles = selection.study, selection.titles
    results = [result for result in selection.results if result.job_id not in selection.repeats]
    values: dict[str, dict[str, object]] = {result.job_id: _measured(result) for result in results}
    groups = group_results(results, answers, REFERENCE)
    for position, group in enumerate(groups):
        for job_id, found in within_group(group, answers, _tasks(group, study.spec), unreadable or {}).items():
            values[job_id] |= {"group": position, **found}
    rows = []
    for job in selection.jobs:
        if job.id in selection.repeats:
            continue
        given = {"job_id": job.id, "recipe": job.recipe, "title": titles[job.id], "avg_bits": job.avg_bits}
        given["label"] = selection.labels.get(job.study_id, "")
        row = {**given, "status": job.status, "error": job.error, **values.get(job.id, {})}
        rows.append(Row.model_validate(row))
    quantized = [result for result in (groups[0] if groups else []) if result.recipe != REFERENCE]
    return Comparison(
        study_id=study.id,
        name=study.name,
        created=study.created,
        status=study.status,
        study=study.spec,
        model=results[0].model if results else None,
        tags=study.tags,
        rows=tuple(rows),
        pairs=all_pairs(quantized, answers, _tasks(quantized, study.spec)),
        set_apart=tuple(set_apart(group[0], groups[0][0], answers) for group in groups) or ("",),
        repeated=tuple(dict.fromkeys(titles[job_id] for job_id in selection.repeats)),
    )


def _tasks(group: Sequence[Result], study: Study) -> list[str]:
    """The tasks that these results, measured under the same conditions, have a score of."""
    measured = {score.task for result in group[:1] for score in result.tasks}
    return [task for task in study.tasks if task in measured]


def _measured(result: Result) -> dict[str, object]:
    """The fields of a row that come from its result alone."""
    values: dict[str, object] = {
        "bits": result.bits,
        "bits_per_weight": 8 * result.size_bytes / result.model.num_params,
        "tasks": tuple(result.tasks),
    }
    return values | {field: getattr(result, field) for field in SAME_FIELDS}
