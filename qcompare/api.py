"""Use qcompare from Python, a notebook, REST or MCP: the same functions, the same documents.

```python
from qcompare import Study, compare, result, submit

found = compare(Study(model="demo", tasks=("arc_easy",), limit=50))     # waits; shows itself in a notebook
print(found.verdict.claim, found.best.percent_of_bf16)
study_id = submit("study.yaml")                                         # returns at once
found = result(study_id)
```

Each document has a `schema_version`; fields are added, none changes its meaning.
"""

import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcompare.compare.choice import Choice, choose, choose_by_budget
from qcompare.compare.selection import read_selection
from qcompare.compare.table import Comparison, Row, read_comparison
from qcompare.jobs.executors.background import watch_over
from qcompare.jobs.submit import submit as queue
from qcompare.plan.plan import Plan, make_plan
from qcompare.plan.preflight import notes, problems
from qcompare.present.answer import answer
from qcompare.present.figures import figures
from qcompare.present.html import headline_html, table_html
from qcompare.present.job_progress import JobProgress, read_job_progress
from qcompare.present.render import render
from qcompare.present.report import STYLE
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.frozen import Frozen
from qcompare.study.ids import StudyIds, parse_ids
from qcompare.study.reading import load_study, parse_study
from qcompare.study.records import Range, Status, StudyRecord
from qcompare.study.result import SCHEMA_VERSION, Bits
from qcompare.study.spec import Study
from qcompare.words import ENGLISH, use_language

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

POLL_SECONDS = 0.5


class Submitted(Frozen):
    """A queued study."""

    schema_version: int = SCHEMA_VERSION
    study_id: str
    name: str
    jobs: tuple[str, ...]
    """Ids, in the order in which they run."""


class JobStatus(Frozen):
    """Where one job stands."""

    job_id: str
    recipe: str
    title: str
    status: Status
    fraction: float
    """Of the job, 0 to 1."""
    stage: str
    """Where it is, in words."""
    elapsed_seconds: float | None
    remaining_seconds: float | None
    """Estimated; None when nothing can be said."""
    error: str | None


class StudyStatus(Frozen):
    """Where a study stands."""

    schema_version: int = SCHEMA_VERSION
    study_id: str
    name: str
    status: Status
    cursor: str
    """To be given as `since` the next time: then only what has changed is said."""
    jobs: tuple[JobStatus, ...]
    """All, or those that have changed since."""


class Finding(Frozen):
    """A claim and what it rests on."""

    claim: str
    details: tuple[str, ...]


class BudgetChoice(Frozen):
    """What to ship of the rows of one budget."""

    avg_bits: float
    ship: str | None
    """Job id; None where more questions are needed."""
    by_accuracy: bool
    """False where accuracy cannot tell: the lowest KL divergence, or none."""
    questions: int


class VerdictDocument(Frozen):
    """What a comparison shows, for a colleague and for an engineer."""

    schema_version: int = SCHEMA_VERSION
    study_id: str
    status: Status
    ship: str | None
    """The recipe to ship, as job id: by accuracy, else by KL divergence; None where neither tells."""
    highest: str | None
    """Id of the job with the highest average among the quantized."""
    percent_of_bf16: float | None
    claim: str
    details: tuple[str, ...]
    expert: Finding
    budgets: tuple[BudgetChoice, ...] = ()
    """Where the study has several, lowest first."""


class PlannedRow(Frozen):
    """One recipe at one budget, before it runs."""

    recipe: str
    title: str
    avg_bits: float | None
    bits: Bits | None
    """None where only the run can tell."""
    size_bytes: int | None
    seconds: Range
    memory_bytes: Range
    disk_bytes: int


class PlanDocument(Frozen):
    """What a study would do."""

    schema_version: int = SCHEMA_VERSION
    model: str
    device: str
    questions: int
    """That every recipe answers."""
    bit_range: tuple[float, float]
    jobs: tuple[PlannedRow, ...]
    seconds: Range
    memory_bytes: Range
    disk_bytes: int
    basis: str
    """Where the estimates come from."""
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    """Why it does not fit this machine; empty: it does."""


class StudyResult:
    """The result of a study, or of several side by side. A notebook shows it as verdict and table."""

    def __init__(self, store: Store, study_ids: StudyIds) -> None:
        self._store, self._ids = store, study_ids
        self.comparison: Comparison = read_comparison(store, study_ids)
        """All numbers."""

    @property
    def best(self) -> Row | None:
        """The quantized row with the highest average."""
        return self.comparison.best

    @property
    def rows(self) -> tuple[Row, ...]:
        """One per recipe and budget."""
        return self.comparison.rows

    @property
    def verdict(self) -> VerdictDocument:
        """What it shows, in words."""
        return verdict_document(self.comparison)

    def figures(self) -> "dict[str, Figure]":
        """Plotly figures by title."""
        selection = read_selection(self._store, self._ids)
        return {each.title: each.figure for each in figures(self._store, self.comparison, selection)}

    def to_json(self) -> str:
        """The same as `qcompare show --format json`."""
        return render(self.comparison, "json")

    def __str__(self) -> str:
        return f"{self.verdict.claim}\n{render(self.comparison, 'table')}"

    def _repr_html_(self) -> str:
        style = STYLE.read_text(encoding="utf-8")
        return f"<style>{style}</style>{headline_html(self.comparison)}{table_html(self.comparison)}"


def compare(
    study: Study | Mapping[str, Any] | Path | str,
    settings: Settings | None = None,
    anyway: bool = False,
    report: Callable[[StudyStatus], None] = lambda status: None,
) -> StudyResult:
    """Run a study to its end.

    Args:
        study: a `Study`, its fields, or the path of a study file.
        anyway: also when it does not seem to fit this machine.
        report: told whenever something changes.

    Raises:
        QCompareError: it cannot be done, in one line; nothing ran.
    """
    found = settings or Settings.read()
    done = submit(study, found, anyway)
    store = Store(found.home)
    watch_over(found)
    cursor = ""
    while True:
        now = status(store, done.study_id, cursor)
        if now.jobs:
            report(now)
        if now.status.ended:
            return StudyResult(store, (done.study_id,))
        cursor = now.cursor
        time.sleep(POLL_SECONDS)


def submit(
    study: Study | Mapping[str, Any] | Path | str, settings: Settings | None = None, anyway: bool = False
) -> Submitted:
    """Queue a study and return at once.

    Raises:
        QCompareError: it cannot be done, in one line; nothing was stored.
    """
    found = settings or Settings.read()
    record = queue(_study(study), found, anyway=anyway)
    return submitted(Store(found.home), record)


def result(study_id: str | Submitted, settings: Settings | None = None) -> StudyResult:
    """The result of a study as far as its recipes are done.

    Args:
        study_id: an id or the beginning of it; several with commas between.

    Raises:
        NotFound: there is no such study.
    """
    name = study_id.study_id if isinstance(study_id, Submitted) else study_id
    return StudyResult(Store((settings or Settings.read()).home), parse_ids(name))


def _study(study: Study | Mapping[str, Any] | Path | str) -> Study:
    if isinstance(study, Study):
        return study
    return parse_study(dict(study)) if isinstance(study, Mapping) else load_study(Path(study))


# documents


def submitted(store: Store, record: StudyRecord) -> Submitted:
    """A study that was queued."""
    return Submitted(study_id=record.id, name=record.name, jobs=tuple(job.id for job in store.jobs(record.id)))


def status(store: Store, study_id: str, since: str = "") -> StudyStatus:
    """Where a study stands.

    Args:
        since: the cursor of an earlier answer.

    Raises:
        NotFound: there is no such study.
    """
    study = store.study(study_id)
    with use_language(ENGLISH):
        jobs = [_job_status(progress) for progress in read_job_progress(store, study.id)]
    marks = [f"{zlib.crc32(job.model_dump_json().encode()):08x}" for job in jobs]
    known = dict(enumerate(since.split("-")))
    changed = tuple(job for n, (job, mark) in enumerate(zip(jobs, marks, strict=True)) if known.get(n) != mark)
    return StudyStatus(study_id=study.id, name=study.name, status=study.status, cursor="-".join(marks), jobs=changed)


def _job_status(progress: JobProgress) -> JobStatus:
    return JobStatus(
        job_id=progress.job_id,
        recipe=progress.recipe,
        title=progress.title,
        status=progress.status,
        fraction=round(progress.fraction, 3),
        stage=progress.words,
        elapsed_seconds=None if progress.elapsed is None else round(progress.elapsed),
        remaining_seconds=None if progress.remaining is None else round(progress.remaining),
        error=progress.error,
    )


def verdict_document(comparison: Comparison) -> VerdictDocument:
    """The verdict on a comparison, in English."""
    with use_language(ENGLISH):
        found = answer(comparison)
    best, choice = comparison.best, choose(comparison)
    return VerdictDocument(
        study_id=",".join(comparison.study_ids),
        status=comparison.status,
        ship=choice.pick.job_id if choice and choice.pick else None,
        highest=best.job_id if best else None,
        percent_of_bf16=best.percent_of_bf16 if best else None,
        claim=found.plain.claim,
        details=found.plain.details,
        expert=Finding(claim=found.expert.claim, details=found.expert.details),
        budgets=tuple(_of_budget(bits, each) for bits, each in choose_by_budget(comparison)),
    )


def _of_budget(bits: float, choice: Choice) -> BudgetChoice:
    return BudgetChoice(
        avg_bits=bits,
        ship=choice.pick.job_id if choice.pick else None,
        by_accuracy=bool(choice.pick and choice.not_worse),
        questions=choice.questions,
    )


def plan_document(study: Study, settings: Settings) -> PlanDocument:
    """What a study would do here; nothing runs.

    Raises:
        QCompareError: it cannot be done.
    """
    plan = make_plan(study, settings)
    return PlanDocument(
        model=plan.facts.title,
        device=plan.device,
        questions=plan.questions,
        bit_range=plan.bit_range,
        jobs=tuple(_planned_rows(plan)),
        seconds=plan.seconds,
        memory_bytes=plan.memory_bytes,
        disk_bytes=plan.disk_bytes,
        basis=str(plan.basis),
        notes=tuple(map(str, notes(plan, settings))),
        problems=tuple(map(str, problems(plan, settings))),
    )


def _planned_rows(plan: Plan) -> list[PlannedRow]:
    return [
        PlannedRow(
            recipe=job.recipe.name,
            title=job.recipe.row_title or str(job.recipe.label),
            avg_bits=job.avg_bits,
            bits=job.bits,
            size_bytes=job.size_bytes,
            seconds=job.cost.seconds,
            memory_bytes=job.cost.memory_bytes,
            disk_bytes=job.cost.disk_bytes,
        )
        for job in plan.jobs
    ]
