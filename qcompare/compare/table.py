"""A study's results as one comparison: the table that every view shows and `show --format json` prints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, PlainSerializer

from qcompare.compare.answers import Answers, read_all_answers
from qcompare.compare.comparable import group_results, set_apart
from qcompare.compare.differences import Against, Pair, all_pairs, within_group
from qcompare.compare.metrics import MetricDifference
from qcompare.compare.selection import Selection, read_selection
from qcompare.compare.statistics import PairedDifference
from qcompare.store import Store
from qcompare.study.frozen import Frozen
from qcompare.study.ids import StudyIds, format_ids, parse_ids
from qcompare.study.messages import EnglishMessage
from qcompare.study.model_name import SAYS_NOTHING, model_title
from qcompare.study.noise import NoiseFloor
from qcompare.study.recipe import is_baseline
from qcompare.study.records import Job, Status
from qcompare.study.result import (
    SCHEMA_VERSION,
    AwqReport,
    Bits,
    CheckpointReport,
    Divergence,
    Environment,
    ModelRef,
    Result,
    Served,
    TaskScore,
)
from qcompare.study.spec import Study
from qcompare.study.text import Text
from qcompare.words import NOTHING, Message

SAME_FIELDS = (
    *("bits", "size_bytes", "average", "average_stderr", "simulated", "rounding", "calibration", "seconds"),
    *("peak_memory_bytes", "environment", "divergence", "scorer", "awq", "checkpoint", "served", "left_out"),
    *("kv_cache", "noise"),
)
"""Fields that a row takes from a result as they are."""


def _ids(value: object) -> object:
    return parse_ids(value) if isinstance(value, str) else value


class Row(Frozen):
    """One recipe at one budget. Fields are None as long as, or because, there is no result."""

    job_id: str
    recipe: str
    title: Text
    """For people; with the budget where a study has several, and with what tells its study from others."""
    label: Text = NOTHING
    """What tells its study from the others it is compared with; empty in the comparison of a single study."""
    avg_bits: float | None
    """Budget; None for recipes that take none."""
    status: Status
    error: EnglishMessage | None
    """One line: why it failed."""
    bits: Bits | None = None
    """Average bits of the quantized weights, asked and achieved, without and with scales."""
    bits_per_weight: float | None = None
    """All stored bytes × 8 / all parameters."""
    size_bytes: int | None = None
    average: float | None = None
    """Mean accuracy over the study's tasks; those that have none (perplexity) are left out."""
    average_stderr: float | None = None
    percent_of_bf16: float | None = None
    """average / average of BF16 × 100."""
    tasks: tuple[TaskScore, ...] = ()
    group: int = 0
    """Rows are compared only inside a group: see `Comparison.set_apart`."""
    versus_bf16: PairedDifference | None = None
    versus_uniform: PairedDifference | None = None
    metrics_versus_bf16: tuple[MetricDifference, ...] = ()
    """Of the tasks beside the average: perplexity, F1, BLEU."""
    unpaired_because: Text | None = None
    """Why there is no paired difference although both recipes have a score."""
    divergence: Divergence | None = None
    """KL divergence to the original, top-1 agreement, perplexity on held-out text."""
    noise: NoiseFloor | None = None
    """What another compute dtype changes; None where it was not measured."""
    scorer: str | None = None
    """How log-likelihoods were computed."""
    awq: AwqReport | None = None
    """What AWQ did; recipes with AWQ only."""
    checkpoint: CheckpointReport | None = None
    """What the row is, where it is a checkpoint that somebody made."""
    named: bool = False
    """The title is its own, not its recipe's."""
    served: Served | None = None
    """The server that answered, and how fast it is; None for models that were loaded."""
    left_out: dict[str, EnglishMessage] = {}  # noqa: RUF012  pydantic copies defaults
    """Tasks of the study that it cannot answer, and why."""
    simulated: bool | None = None
    kv_cache: str | None = None
    """`fp8`: keys and values were rounded too."""
    rounding: str | None = None
    calibration: str | None = None
    seconds: dict[str, float] = {}  # noqa: RUF012  pydantic copies defaults
    """Seconds per stage."""
    peak_memory_bytes: int | None = None
    environment: Environment | None = None
    """Device, compute dtype, library versions."""

    @property
    def is_baseline(self) -> bool:
        """This is BF16."""
        return is_baseline(self.recipe)

    def task(self, name: str) -> TaskScore | None:
        """This recipe's score on a task."""
        return next((score for score in self.tasks if score.task == name), None)

    def metric(self, task: str) -> MetricDifference | None:
        """Its difference to BF16 on a task beside the average."""
        return next((found for found in self.metrics_versus_bf16 if found.task == task), None)


class Comparison(Frozen):
    """All recipes of a study, or of several of one model, side by side. Its JSON form is the documented output of
    `show --format json`."""

    model_config = ConfigDict(serialize_by_alias=True)

    schema_version: int = SCHEMA_VERSION
    study_ids: Annotated[StudyIds, BeforeValidator(_ids), PlainSerializer(format_ids, return_type=str)] = Field(
        validation_alias=AliasChoices("study_ids", "study_id"), serialization_alias="study_id"
    )
    name: Text
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
    set_apart: tuple[Text, ...] = (NOTHING,)
    """By group: under what other conditions its rows were measured; empty for the first."""

    repeated: tuple[Text, ...] = ()
    """Rows that several of the compared studies have alike: each is shown once."""

    @property
    def model_title(self) -> str:
        """The model's name for people."""
        known = self.model is not None and not SAYS_NOTHING.fullmatch(self.model.name)
        return self.model.name if self.model and known else model_title(self.study.model)

    @property
    def several(self) -> bool:
        """These are rows of several studies."""
        return len(self.study_ids) > 1

    @property
    def scored(self) -> tuple[Row, ...]:
        """Rows with an average, of the first group: those that may be compared."""
        return tuple(row for row in self.rows if row.average is not None and row.group == 0)

    @property
    def baseline(self) -> Row | None:
        """BF16, when it has a score."""
        return next((row for row in self.scored if row.is_baseline), None)

    @property
    def best(self) -> Row | None:
        """The quantized recipe with the highest average; the first of equals."""
        return max((row for row in self.scored if not row.is_baseline), key=_average, default=None)

    @property
    def highest(self) -> tuple[Row, ...]:
        """Quantized rows with the best average, equals included; none while there is nothing to be better than."""
        quantized = [row for row in self.scored if not row.is_baseline]
        return tuple(
            row for row in quantized if self.best and row.average == self.best.average and len(quantized) > 1
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """Those that rows of the first group have an accuracy of."""
        measured = {score.task for row in self.rows if row.group == 0 for score in row.tasks if score.averaged}
        return tuple(task for task in self.study.tasks if task in measured)

    @property
    def questions(self) -> int:
        """Questions of the average that each recipe of the first group answered."""
        averaged = [[task.n for task in row.tasks if task.averaged] for row in self.rows if row.group == 0]
        return max(map(sum, averaged), default=0)

    @property
    def data(self) -> tuple[str, ...]:
        """Where the questions came from."""
        return tuple(sorted({task.data for row in self.rows for task in row.tasks}))


def _average(row: Row) -> float:
    return row.average or 0.0


def read_comparison(store: Store, study_ids: StudyIds) -> Comparison:
    """The comparison of a stored study, or of several, as far as their recipes are done.

    Raises:
        NotFound: there is no such study, or a newer qcompare wrote its results.
        QCompareError: several studies of different models.
    """
    selection = read_selection(store, study_ids)
    return compare(selection, *read_all_answers(store, selection.results))


def compare(
    selection: Selection, answers: Mapping[str, Answers], unreadable: Mapping[str, Message] | None = None
) -> Comparison:
    """Lay out the rows of one or several studies.

    Args:
        answers: by job id; may lack some.
        unreadable: by job id, why answers lack.
    """
    study, titles = selection.spec, selection.titles
    results = [result for result in selection.results if result.job_id not in selection.repeats]
    groups = group_results(results, answers)
    measured: dict[str, Measured] = {}
    for position, group in enumerate(groups):
        found = within_group(group, answers, _tasks(group, study), unreadable or {})
        measured |= {result.job_id: Measured(result, position, found[result.job_id]) for result in group}
    quantized = [result for result in (groups[0] if groups else []) if not is_baseline(result.recipe)]
    return Comparison(
        study_ids=selection.ids,
        name=selection.name,
        created=selection.created,
        status=selection.status,
        study=study,
        model=results[0].model if results else None,
        tags=selection.tags,
        rows=tuple(
            _row(selection, job, measured.get(job.id)) for job in selection.jobs if job.id not in selection.repeats
        ),
        pairs=all_pairs(quantized, answers, _tasks(quantized, study)),
        set_apart=tuple(set_apart(group[0], groups[0][0], answers) for group in groups) or (NOTHING,),
        repeated=tuple({str(titles[job_id]): titles[job_id] for job_id in selection.repeats}.values()),
    )


@dataclass(frozen=True)
class Measured:
    """A result in its table."""

    result: Result
    group: int
    against: Against


def _tasks(group: Sequence[Result], study: Study) -> list[str]:
    """The tasks that these results, measured under the same conditions, have an accuracy of."""
    measured = {score.task for result in group[:1] for score in result.tasks if score.averaged}
    return [task for task in study.tasks if task in measured]


def _row(selection: Selection, job: Job, measured: Measured | None) -> Row:
    row = Row(
        job_id=job.id,
        recipe=job.recipe,
        title=selection.titles[job.id],
        label=selection.labels.get(job.study_id, NOTHING),
        named=bool(job.recipe_spec.title or job.recipe_spec.kv_cache),
        avg_bits=job.avg_bits,
        status=job.status,
        error=job.error,
    )
    if measured is None:
        return row
    result, against = measured.result, measured.against
    return row.model_copy(
        update={
            **{name: getattr(result, name) for name in SAME_FIELDS},
            "bits_per_weight": result.size_bytes and 8 * result.size_bytes / result.model.num_params,
            "tasks": tuple(score.model_copy(update={"resamples": ()}) for score in result.tasks),
            "group": measured.group,
            "percent_of_bf16": against.percent_of_bf16,
            "versus_bf16": against.bf16,
            "metrics_versus_bf16": against.metrics,
            "versus_uniform": against.uniform,
            "unpaired_because": against.unpaired_because,
        }
    )
