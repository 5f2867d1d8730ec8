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
    """By study id: the scores by which one of its recipes chose. Studies without such a recipe are left out."""
    found: dict[str, LayerScores] = {}
    for job in selection.jobs:
        if chosen_by_scores(job.recipe) and job.study_id not in found:
            scores = store.folder(job.id).layer_scores()
            if scores:
                found[job.study_id] = scores
    return found


def sensitivities(
    layer_config: Mapping[str, str], schemes: Sequence[str], scores: LayerScores, by_scores: bool
) -> list[Sensitivity]:
    """All scored layers of a recipe, the one where a bit buys most first.

    Args:
        schemes: the study's, low to high.
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
