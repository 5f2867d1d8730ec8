"""What a job will cost: from what this home's finished jobs of the same model took, else from the model's size.

A job is a sequence of stages, and evaluates each task in one of its own. Each has an amount of work that follows from
the study (questions, tokens), so what was measured on one study tells about another. Stages whose outcome is kept
(layer scores, the original's predictions, scores of questions) cost nothing a second time.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from qcompare.errors import NotFound
from qcompare.models.devices import Device, describe_device, job_devices
from qcompare.models.facts import ModelFacts
from qcompare.plan.memory import MemoryNeeds, item_bytes, memory_needs
from qcompare.recipes.base import Recipe
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.noise import PASSAGES, is_sampled, sample_limit
from qcompare.study.prompts import turns
from qcompare.study.records import Cost, Job, Range, Status
from qcompare.study.result import Result
from qcompare.study.spec import Study
from qcompare.study.stage import Stage
from qcompare.study.task import TASKS
from qcompare.words import Message, gettext_noop

CPU_FLOPS_PER_CORE = 70e9
GPU_FLOPS = {2: 1e14, 4: 1e13}
"""By bytes of a weight."""
GPU_BLOCK_SECONDS = 0.0008
"""Of one step of answers on a GPU, per block: its kernels are started one by one, however few tokens there are."""
GPU_BYTES_PER_SECOND = 1e12
ANSWER_TOKENS = 150
"""Of a generated task's typical answer."""
CPU_BF16_FACTOR = 3.5
"""Time of bfloat16 over that of float32 on a CPU without units for it."""
SIMULATION_FACTOR = 1.1
"""Time of a simulated format over that of the original model."""
SIMULATED_STEP_FACTOR = 2.0
"""The same of a step of answers on a GPU: inputs are rounded by kernels of their own."""
START_SECONDS = 6.0
COPY_BYTES_PER_SECOND = 100e6
HISTORY_JOBS = 30
READ_JOBS = 120
SHARES = {"own": 0.25, "other": 0.5, "none": 2.0}
"""How far off an estimate may be that rests on the same recipe's runs, other recipes' runs, none."""
ONCE: dict[str, float] = {Stage.FETCHING: 1.0, Stage.CHOOSING: 10.0, Stage.REFERENCE: 1.0}
"""Stages whose outcome later jobs use, and the seconds that takes them at most."""
BASIS = {
    "own": gettext_noop("this machine's earlier runs of this model"),
    "other": gettext_noop("this machine's earlier runs of this model with other recipes"),
    "none": gettext_noop("a rule of thumb, nothing measured yet"),
}


@dataclass(frozen=True)
class Past:
    """A finished job."""

    study: Study
    job: Job
    result: Result

    @property
    def seconds(self) -> dict[str, float]:
        """Of each stage, the start included."""
        whole = (self.job.finished or 0) - (self.job.started or 0)
        start = max(0.0, whole - sum(self.result.seconds.values()))
        return {Stage.STARTING: start} | self.result.seconds

    @property
    def reads_weights(self) -> bool:
        """Its recipe looked at the weights to choose layers."""
        recipe = self.job.recipe_spec
        return isinstance(recipe, Recipe) and recipe.reads_weights


class Estimates:
    """Estimates for the jobs of one study, asked for in their order."""

    def __init__(
        self, facts: ModelFacts, study: Study, device: str, past: Sequence[Past], dtype: str = "auto"
    ) -> None:
        """
        Args:
            device: its id (`models.devices`).
            past: what this machine did before, from `history`.
            dtype: the setting.
        """
        self._facts, self._study, self._device, self._dtype = facts, study, describe_device(device), dtype
        self._all_past = past
        self._past = [each for each in past if each.result.model.name == facts.title]
        self._item_bytes = item_bytes(self._device, dtype)
        self._done: set[tuple[str, str]] = set()

    def cost(self, recipe: Recipe, avg_bits: float | None) -> Cost:
        """What one job will take; what the jobs before it keep for it is taken into account."""
        grade = self._grade(recipe)
        stages = {stage: self._seconds(stage, recipe, avg_bits) for stage in job_stages(recipe, self._study)}
        self._done |= {(stage, _shares(recipe)) for stage in stages}
        seconds = Range.around(sum(stages.values()), SHARES[grade])
        memory = self._memory(recipe, _scores_layers(stages))
        return Cost(
            seconds=seconds,
            memory_bytes=memory.device,
            ram_bytes=memory.ram,
            disk_bytes=2_000_000 + (self._facts.num_params if recipe.writes else 0),
            basis=Message(BASIS[grade]),
            stages={stage: round(value, 2) for stage, value in stages.items()},
        )

    def _grade(self, recipe: Recipe) -> str:
        if any(past.result.recipe == recipe.name for past in self._past):
            return "own"
        return "other" if self._past else "none"

    def _seconds(self, stage: str, recipe: Recipe, avg_bits: float | None) -> float:
        again = self._again(stage, recipe)
        if (stage, _shares(recipe)) in self._done and stage in ONCE:
            return max(again, ONCE[stage]) if recipe.reads_weights else 0.0
        runs = self._runs(stage, recipe)
        if stage in ONCE and (kept := [run.seconds[stage] for run in runs if _alike(stage, run.study, self._study)]):
            return min(*kept, max(again, ONCE[stage]))  # computed then, kept since
        rates = [run.seconds[stage] / done for run in runs if (done := work(stage, run.study, recipe))]
        amount = work(stage, self._study, recipe)
        if stage in self._study.tasks:
            amount = max(0.0, amount - self._kept(stage, recipe, avg_bits))
        return amount * (median(rates) if rates else self._rule(stage, recipe))

    def _again(self, stage: str, recipe: Recipe) -> float:
        """To choose layers for a further budget."""
        cost = recipe.cost(self._study.of_recipe(recipe))
        if stage != Stage.CHOOSING or not cost.again:
            return 0.0
        return work(stage, self._study, recipe) * self._rule(stage, recipe) * cost.again / cost.choosing

    def _runs(self, stage: str, recipe: Recipe) -> list[Past]:
        """Runs that tell how long the stage takes: of this recipe, else of others."""
        measured = [
            past
            for past in self._past
            if stage in past.seconds and not (stage in past.study.tasks and past.result.reused_requests)
        ]
        own = [past for past in measured if past.result.recipe == recipe.name]
        if own or (stage == Stage.CHOOSING and recipe.reads_weights):
            return own
        return [past for past in measured if not past.reads_weights] or measured

    def _kept(self, task: str, recipe: Recipe, avg_bits: float | None) -> float:
        """Questions whose scores an earlier job of this very recipe left."""
        ours = (recipe.name, avg_bits, self._study.schemes, self._study.num_fewshot, self._study.scorer)
        counts = [
            work(task, past.study, recipe)
            for past in self._past
            if task in past.study.tasks
            and ours
            == (
                *(past.job.recipe, past.job.avg_bits, past.study.schemes, past.study.num_fewshot),
                past.study.scorer,
            )
        ]
        return max(counts, default=0.0) if self._study.scorer == "packed" else 0.0

    def _rule(self, stage: str, recipe: Recipe) -> float:
        """Seconds per unit of work where nothing is measured."""
        on_gpu = self._device.kind in ("cuda", "xpu")
        flops = GPU_FLOPS[self._item_bytes] if on_gpu else CPU_FLOPS_PER_CORE * (os.cpu_count() or 1)
        token = 2 * self._facts.num_params / flops * (1.0 if recipe.is_baseline else SIMULATION_FACTOR)
        if stage in self._study.tasks:
            reading = token * TASKS[stage].tokens_per_question * (1 + self._study.examples(stage))
            if not (on_gpu and TASKS[stage].generates):
                return reading
            return reading + ANSWER_TOKENS * self._step(recipe) / self._study.batch_size
        per_byte = self._facts.size_bytes / COPY_BYTES_PER_SECOND
        cost = recipe.cost(self._study.of_recipe(recipe))
        text = self._study.calibration.num_samples * self._study.calibration.max_seq_length
        rules: dict[str, float] = {
            Stage.STARTING: START_SECONDS,
            Stage.LOADING: 1 + per_byte,
            Stage.QUANTIZING: 5 + per_byte + token * cost.quantizing,
            Stage.FETCHING: 0.0 if self._facts.source == "folder" else 10 * per_byte,
            Stage.CHOOSING: token * cost.choosing / text if recipe.reads_weights else 0.1,
            Stage.REFERENCE: token,
            Stage.DIVERGENCE: 2 * token,
            Stage.NOISE: token * (GPU_FLOPS[2] / GPU_FLOPS[4] if on_gpu else CPU_BF16_FACTOR),
            # one token at a time reads all weights
            Stage.GENERATING: self._step(recipe) / max(1, len(self._study.prompts)) if on_gpu else 25 * token,
        }
        return rules.get(stage, 1.0)

    def _step(self, recipe: Recipe) -> float:
        """Seconds of one step of all answers that are written side by side on a GPU."""
        blocks = len({layer.block for layer in self._facts.layers})
        weights = self._facts.num_params * self._item_bytes
        step = blocks * GPU_BLOCK_SECONDS + weights / GPU_BYTES_PER_SECOND
        return step * (1.0 if recipe.is_baseline else SIMULATED_STEP_FACTOR)

    def _memory(self, recipe: Recipe, scoring: bool) -> MemoryNeeds:
        """Peak of a job; scoring layers takes more than all else, so only runs that did the same tell."""
        alike = [past.result for past in self._all_past if _scores_layers(past.seconds) is scoring]
        own = [result for result in alike if result.recipe == recipe.name]
        past = own or ([] if scoring else alike)
        return memory_needs(self._facts, self._study, self._device, self._dtype, scoring, past)


def _shares(recipe: Recipe) -> str:
    """The same for recipes of which one uses what the other left."""
    return recipe.name if recipe.reads_weights else ""


def job_stages(recipe: Recipe, study: Study) -> Iterator[str]:
    """The stages and tasks of a job, in their order: the keys of `Cost.stages`."""
    yield from (Stage.STARTING, Stage.FETCHING, Stage.CHOOSING, Stage.LOADING)
    if study.divergence:
        yield Stage.REFERENCE
    if not recipe.is_baseline:
        yield Stage.QUANTIZING
    yield from study.tasks
    if study.divergence:
        yield Stage.DIVERGENCE
    if study.prompts:
        yield Stage.GENERATING
    if study.noise_floor and not recipe.served:
        yield Stage.NOISE


def work(stage: str, study: Study, recipe: Recipe) -> float:
    """The amount of work in a stage: questions, tokens, or 1."""
    if stage in study.tasks:
        return TASKS[stage].count(study.limit)
    if stage in (Stage.REFERENCE, Stage.DIVERGENCE) and study.divergence:
        return study.divergence.num_samples * study.divergence.max_seq_length
    if stage == Stage.CHOOSING and recipe.reads_weights:
        return study.calibration.num_samples * study.calibration.max_seq_length
    if stage == Stage.NOISE:
        return _noise_tokens(study)
    if stage == Stage.GENERATING:
        return sum(len(turns(prompt)) for prompt in study.prompts) * study.max_new_tokens
    return 1


def _noise_tokens(study: Study) -> float:
    """Tokens of the sample that is computed again in another dtype."""
    tasks = [task for task in study.tasks if is_sampled(task)]
    held_out = study.divergence
    passages = min(PASSAGES, held_out.num_samples) * held_out.max_seq_length if held_out else 0
    return passages + sum(
        TASKS[task].count(sample_limit(task, tasks)) * TASKS[task].tokens_per_question * (1 + study.examples(task))
        for task in tasks
    )


def _scores_layers(stages: Mapping[str, float]) -> bool:
    """The job computes the scores of layers; finding those of an earlier job takes less."""
    return stages.get(Stage.CHOOSING, 0.0) > ONCE[Stage.CHOOSING]


def _alike(stage: str, one: Study, other: Study) -> bool:
    """What the stage of one study left serves the other."""
    fields: dict[str, tuple[str, ...]] = {
        Stage.CHOOSING: ("calibration", "schemes"),
        Stage.REFERENCE: ("divergence",),
    }
    return all(getattr(one, field) == getattr(other, field) for field in fields.get(stage, ()))


def history(facts: ModelFacts, settings: Settings) -> tuple[Past, ...]:
    """The newest finished jobs of this model, and of others, on such a device that were not interrupted."""
    found = list(_history(Store(settings.home), describe_device(job_devices(settings.device)[0])))
    own = [past for past in found if past.result.model.name == facts.title]
    others = [past for past in found if past.result.model.name != facts.title]
    return (*own[:HISTORY_JOBS], *others[:HISTORY_JOBS])


def _history(store: Store, device: Device) -> Iterator[Past]:
    # An imported study, the recorded one too, ran on another machine.
    specs = {study.id: study.spec for study in store.studies() if not study.imported}
    done = [job for job in store.jobs(status=Status.SUCCESS) if job.attempts <= 1 and job.study_id in specs]
    for job in done[: -READ_JOBS - 1 : -1]:
        try:
            result = store.folder(job.id).result()
        except NotFound:
            continue
        machine = result.environment
        same_name = machine.device_name == device.name or not device.name
        if machine.device.partition(":")[0] == device.kind and same_name:
            yield Past(specs[job.study_id], job, result)
