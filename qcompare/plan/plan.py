"""From a study to its jobs, before anything runs: what each will be, and what it will cost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from qcompare.evaluate.tasks.check import check_tasks
from qcompare.formats.bits import bit_range, count, stored_bytes
from qcompare.models.devices import job_devices
from qcompare.models.facts import ModelFacts
from qcompare.models.sources import describe
from qcompare.plan.capacity import of_device
from qcompare.plan.estimates import BASIS, Estimates, Past, history
from qcompare.plan.memory import gpus_needed
from qcompare.recipes.base import BuildContext, Recipe, check_kv_cache
from qcompare.settings import Settings
from qcompare.study.records import Cost, Range
from qcompare.study.result import Bits
from qcompare.study.spec import Study
from qcompare.study.task import TASKS
from qcompare.words import Message


@dataclass(frozen=True)
class PlannedJob:
    """One recipe at one budget."""

    recipe: Recipe
    avg_bits: float | None
    bits: Bits | None
    """None where only the run can tell (mixed recipes)."""
    size_bytes: int | None
    cost: Cost
    """What it is expected to take."""
    layer_config: Mapping[str, str] | None = None
    """Full layer name → scheme; None where only the run can tell."""


@dataclass(frozen=True)
class Plan:
    """What a study will do."""

    facts: ModelFacts
    bit_range: tuple[float, float]
    """Lowest and highest reachable budget, in the study's counting."""
    jobs: tuple[PlannedJob, ...]
    questions: int
    """Questions every recipe answers."""
    device: str

    devices: int = 1
    """GPUs among which its jobs are divided."""

    @property
    def seconds(self) -> Range:
        """From the first job to the last: one after another, or side by side on several GPUs."""
        costs = [job.cost for job in self.jobs]
        return Range(
            low=self._span([cost.seconds.low for cost in costs]),
            likely=self._span([cost.seconds.likely for cost in costs]),
            high=self._span([cost.seconds.high for cost in costs]),
        )

    def _span(self, seconds: Sequence[float]) -> float:
        """Each job goes where GPUs are free first, as many as it must hold."""
        free = [0.0] * self.devices
        for job, its in zip(self.jobs, seconds, strict=True):
            free.sort()
            held = min(job.cost.gpus, len(free))
            free[:held] = [free[held - 1] + its] * held
        return max(free)

    @property
    def memory_bytes(self) -> Range:
        """Of the largest job, on the device that computes."""
        return max((job.cost.memory_bytes for job in self.jobs), key=lambda memory: memory.likely)

    @property
    def disk_bytes(self) -> int:
        """What the study's files will take."""
        return sum(job.cost.disk_bytes for job in self.jobs)

    @property
    def basis(self) -> Message:
        """Where the estimates come from: the weakest of the jobs'."""
        return max(
            (job.cost.basis for job in self.jobs), key=lambda basis: list(BASIS.values()).index(basis.template)
        )


def make_plan(study: Study, settings: Settings) -> Plan:
    """Check a study against its model and lay out its jobs.

    Raises:
        QCompareError: the model is not available, or a budget is out of reach.
    """
    return plan_for(describe(study.model, settings), study, settings)


def plan_for(facts: ModelFacts, study: Study, settings: Settings, past: Sequence[Past] | None = None) -> Plan:
    """As `make_plan`, for a model that is described already.

    Args:
        past: this machine's `history`, for several plans of one model; None: it is read.

    Raises:
        QCompareError: a task cannot be asked, a budget is out of reach, or a scheme does not fit a layer.
    """
    check_tasks(study, settings)
    rows = tuple(_rows(study, facts, settings))
    for recipe, context, _ in rows:
        check_kv_cache(recipe, facts)
        recipe.check(context)
    devices = job_devices(settings.device)
    past = history(facts, settings) if past is None else past
    estimates = Estimates(facts, study, devices[0], past, settings.dtype)
    gpu = of_device(devices[0]) if devices[0].startswith("cuda") else None

    def planned(recipe: Recipe, context: BuildContext, described: ModelFacts) -> PlannedJob:
        job = _planned(recipe, context, described, estimates)
        gpus = gpus_needed(job.cost.memory_bytes, gpu.total_bytes, len(devices)) if gpu else 1
        if settings.gpus_per_job != "auto" and (gpu or settings.runs_elsewhere):
            gpus = settings.gpus_per_job if settings.runs_elsewhere else min(settings.gpus_per_job, len(devices))
        return replace(job, cost=job.cost.model_copy(update={"gpus": gpus}))

    return Plan(
        facts=facts,
        bit_range=bit_range(facts.of_study(study).layers, study.schemes, study.ignore_scale_zp_bits),
        jobs=tuple(planned(*row) for row in rows),
        questions=question_count(study),
        device=devices[0],
        devices=len(devices),
    )


def question_count(study: Study) -> int:
    """Questions that every recipe of a study answers."""
    return sum(TASKS[task].count(study.limit) for task in study.tasks)


def _rows(study: Study, facts: ModelFacts, settings: Settings) -> Iterator[tuple[Recipe, BuildContext, ModelFacts]]:
    """Every row of a study, with the model as it sees it; all budgets of a recipe one after the other."""
    for recipe in study.recipes:
        assert isinstance(recipe, Recipe)
        own = study.of_recipe(recipe)
        described = facts.of_study(own)
        for avg_bits in recipe.budgets(own, described):
            yield recipe, BuildContext(own, described.layers, avg_bits, facts, settings), described


def _planned(recipe: Recipe, context: BuildContext, facts: ModelFacts, estimates: Estimates) -> PlannedJob:
    config = recipe.config_from_sizes(context)
    size = None if config is None else stored_bytes(facts.layers, config, facts.num_stored_params)
    return PlannedJob(
        recipe=recipe,
        avg_bits=context.avg_bits,
        bits=None if config is None else count(facts.layers, config, context.avg_bits),
        size_bytes=size,
        cost=estimates.cost(recipe, context.avg_bits),
        layer_config=config,
    )
