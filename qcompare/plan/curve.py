"""What every budget would give, before it is measured: layers, size and predicted loss in steps of 0.05 bits.

From layer scores that a job has stored, for the recipe that chose by them and for those whose layers follow from
sizes alone. Loads no torch: a curve of 80 budgets takes about a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from qcompare.formats.bits import bit_range, stored_bytes, total_bits
from qcompare.recipes.allocate import allocate_each
from qcompare.recipes.base import BuildContext, Recipe
from qcompare.store import Store
from qcompare.study.layers import LayerConfig, LayerScores, LinearLayer
from qcompare.study.recipe import RECIPES
from qcompare.study.records import Job
from qcompare.study.result import Result
from qcompare.study.spec import Study

STEP = 0.05
"""Average bits between two budgets."""


@dataclass(frozen=True)
class CurvePoint:
    """One recipe at one budget."""

    avg_bits: float
    """Achieved, in the study's counting; at most the budget."""
    size_bytes: int
    """Of the whole model."""
    predicted: float
    """Losses of all layers, added up: nats per token where the scores say so (`LayerScores.in_nats`)."""
    layer_config: LayerConfig = field(repr=False)


@dataclass(frozen=True)
class Curve:
    """One recipe over all budgets."""

    recipe: str
    points: tuple[CurvePoint, ...]
    """One per budget of `BudgetCurves.budgets`."""


@dataclass(frozen=True)
class Measured:
    """A row that was measured, and what the scores predict for its layers."""

    job_id: str
    recipe: str
    avg_bits: float
    size_bytes: int
    kl: float
    """KL divergence to the original on held-out text, in nats per token."""
    predicted: float


@dataclass(frozen=True)
class BudgetCurves:
    """All recipes that take a budget, for one model and one mix of schemes."""

    study_id: str
    """Whose job stored the scores."""
    scorer: str
    """How layers were scored (`LayerScores.scorer`)."""
    schemes: tuple[str, ...]
    """Low to high."""
    layers: tuple[LinearLayer, ...]
    budgets: tuple[float, ...]
    """Average bits, from the lowest that can be reached to the highest."""
    curves: tuple[Curve, ...]
    measured: tuple[Measured, ...]
    in_nats: bool
    """Predictions are KL divergences."""


def budget_curves(study: Study, scores: LayerScores, job: Job, results: Sequence[Result] = ()) -> BudgetCurves:
    """The curves of a study from the layer scores of one of its jobs.

    Args:
        study: as the job's recipe sees it (`Study.of_recipe`).
        results: measured rows of the same model; those that use only the study's schemes are set beside.
    """
    layers = scores.layers
    budgets = _budgets(*bit_range(layers, study.schemes, study.ignore_scale_zp_bits))
    groups = BuildContext(study, layers, budgets[0]).groups
    chosen = allocate_each(groups, study.schemes, scores.losses, budgets, study.ignore_scale_zp_bits)
    configs = {job.recipe: chosen}
    for name, kind in RECIPES.items():
        if kind.takes_budget and kind.offered and issubclass(kind, Recipe) and not kind.reads_weights:
            found = [kind().config_from_sizes(BuildContext(study, layers, budget)) for budget in budgets]
            configs[name] = [config for config in found if config is not None]
    return BudgetCurves(
        study_id=job.study_id,
        scorer=scores.scorer,
        schemes=study.schemes,
        layers=layers,
        budgets=budgets,
        curves=tuple(
            Curve(recipe, tuple(_point(config, study, scores) for config in each)) for recipe, each in configs.items()
        ),
        measured=tuple(row for result in results if (row := _measured(result, study, scores))),
        in_nats=scores.in_nats,
    )


def curves_of_studies(store: Store, study_ids: Sequence[str], results: Sequence[Result]) -> list[BudgetCurves]:
    """One for each mix of schemes and way of scoring of which jobs have stored layer scores, those in nats first.

    Args:
        results: measured rows to set beside.
    """
    found: dict[tuple[str, ...], BudgetCurves] = {}
    for job in (job for study_id in study_ids for job in store.jobs(study_id)):
        scores = store.folder(job.id).layer_scores()
        if scores and scores.layers:
            study = store.study(job.study_id).spec.of_recipe(job.recipe_spec)
            key = (*study.schemes, scores.scorer)
            if key not in found:
                found[key] = budget_curves(study, scores, job, results)
    return sorted(found.values(), key=lambda curves: not curves.in_nats)


def _budgets(low: float, high: float) -> tuple[float, ...]:
    """From the lowest to the highest average, in between at multiples of `STEP`."""
    first, last = int(low / STEP) + 1, -int(-high / STEP) - 1
    between = [round(n * STEP, 2) for n in range(first, last + 2)]
    return tuple(dict.fromkeys([low, *(bits for bits in between if low < bits < high), high]))


def _point(config: LayerConfig, study: Study, scores: LayerScores) -> CurvePoint:
    weights = sum(layer.numel for layer in scores.layers)
    return CurvePoint(
        avg_bits=total_bits(scores.layers, config, study.ignore_scale_zp_bits) / weights,
        size_bytes=stored_bytes(scores.layers, config, scores.num_params),
        predicted=scores.total(config),
        layer_config=config,
    )


def _measured(result: Result, study: Study, scores: LayerScores) -> Measured | None:
    """A row with what the scores predict for it; None where they lack its layers or schemes, or it has no KL."""
    bits, schemes = result.bits, set(result.layer_config.values())
    covered = {layer.name for layer in scores.layers} >= set(result.layer_config) and schemes <= set(study.schemes)
    if not (schemes and covered and result.divergence and bits and result.size_bytes):
        return None
    return Measured(
        job_id=result.job_id,
        recipe=result.recipe,
        avg_bits=bits.achieved if study.ignore_scale_zp_bits else bits.achieved_with_scales,
        size_bytes=result.size_bytes,
        kl=result.divergence.kl,
        predicted=scores.total(result.layer_config),
    )
