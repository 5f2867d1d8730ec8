"""Why a layer got its scheme: what rounding it costs, and what a bit spent on it buys.

From the scores that the mixed recipe was chosen by. They are stored with a job's result; older results have none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qcompare.compare.selection import Selection
from qcompare.store import Store
from qcompare.study.layers import LayerScores
from qcompare.study.recipe import RECIPES


@dataclass(frozen=True)
class Sensitivity:
    """One layer of one recipe."""

    layer: str
    scheme: str
    low: str
    high: str
    """The lowest and the highest scheme of the study."""
    loss_low: float
    loss_high: float
    rank: int
    """By what a bit buys between the two schemes; 1 is the first."""
    layers: int
    worth: float | None
    """What a bit buys here, in terms of the last layer that was raised; None where that cannot be said."""


def chosen_by_scores(recipe: str) -> bool:
    """Whether a recipe chose layers by their scores."""
    return recipe in RECIPES and RECIPES[recipe].reads_weights


def read_layer_scores(store: Store, selection: Selection) -> dict[str, LayerScores]:
    """By job id: layer scores for its schemes, its own or those of another recipe of its study; else left out."""
    stored = [(job, store.folder(job.id).layer_scores()) for job in selection.jobs if chosen_by_scores(job.recipe)]
    found: dict[str, LayerScores] = {}
    for result in selection.results:
        schemes = {*selection.schemes(result)}
        for job, scores in sorted(stored, key=lambda found: found[0].id != result.job_id):  # its own first
            if scores and job.study_id == result.study_id and schemes <= scores.bits.keys():
                found.setdefault(result.job_id, scores)
    return found


def sensitivities(
    layer_config: Mapping[str, str], schemes: Sequence[str], scores: LayerScores, by_scores: bool
) -> list[Sensitivity]:
    """All scored layers of a recipe, the one where a bit buys most first.

    Args:
        schemes: those that the recipe chose from, low to high.
        by_scores: the recipe was chosen by these scores.
    """
    low, high = schemes[0], schemes[-1]
    # BF16 has no losses: nothing is rounded
    at_low, at_high = scores.losses.get(low, {}), scores.losses.get(high, {})
    bits = {name: scores.bits[high][name] - scores.bits[low][name] for name in at_low if name in layer_config}
    buys = {name: (at_low[name] - at_high.get(name, 0.0)) / more for name, more in bits.items() if more > 0}
    raised = [name for name in buys if layer_config[name] != low]
    last = min((buys[name] for name in raised), default=0.0) if by_scores else 0.0
    ranked = sorted(buys, key=lambda name: -buys[name])
    return [
        Sensitivity(
            layer=name,
            scheme=layer_config[name],
            low=low,
            high=high,
            loss_low=at_low[name],
            loss_high=at_high.get(name, 0.0),
            rank=rank,
            layers=len(ranked),
            worth=buys[name] / last if last > 0 else None,
        )
        for rank, name in enumerate(ranked, 1)
    ]
