"""The relative squared error of a layer's rounded weights, ‖W − Q(W)‖² / ‖W‖²: no text, no pass through the model.

HIGGS (arXiv:2411.17525) shows that the loss of a model grows linearly in these errors; its coefficients per layer
come from data and are all one here.
"""

from typing import TYPE_CHECKING

from qcompare.recipes.scores import LayerScorer
from qcompare.study.layers import LayerLosses

if TYPE_CHECKING:
    from qcompare.recipes.lab import Lab


class _DataFree(LayerScorer):
    name = "data_free"
    source = "HIGGS, arXiv:2411.17525"

    def score(self, lab: "Lab", share: float) -> LayerLosses:
        return lab.bench.kept_losses(self.name, lambda: self._score(lab))

    def _score(self, lab: "Lab") -> LayerLosses:
        model = lab.bench.model
        losses: LayerLosses = {}
        for scheme in model.rounded_schemes:
            losses[scheme] = {}
            for name in model.layers:
                original = model.original(name).float()
                error = (model.weight(name, scheme).float() - original).square().sum()
                losses[scheme][name] = float(error / original.square().sum())
        return losses


DATA_FREE = _DataFree()
