"""The KL divergence that one group of layers costs at a scheme, all others unquantized: measured, not estimated.

The most direct score and the dearest: a pass over the text for every group and scheme. As llama.cpp's and ExLlamaV3's
measurements of single tensors.
"""

from typing import TYPE_CHECKING

from qcompare.recipes.groups import layer_groups
from qcompare.recipes.scores import LayerScorer
from qcompare.study.formats import UNQUANTIZED
from qcompare.study.layers import LayerLosses

if TYPE_CHECKING:
    from qcompare.recipes.lab import Lab


class _Lowering(LayerScorer):
    name = "lowering"
    source = "KL divergence of one group lowered at a time"
    in_nats = True

    def score(self, lab: "Lab", share: float) -> LayerLosses:
        groups = layer_groups(lab.facts.layers, shared=True)
        schemes = [scheme for scheme in lab.study.schemes if scheme != UNQUANTIZED]
        passages = max(1, round(share * lab.bench.passages))
        losses: LayerLosses = {scheme: {} for scheme in schemes}
        for done, (group, scheme) in enumerate((group, scheme) for group in groups for scheme in schemes):
            lab.report(done, len(groups) * len(schemes))
            found = lab.bench.kl({layer.name: scheme for layer in group}, 0, passages)
            weights = sum(layer.numel for layer in group)
            for layer in group:  # what they cost together, by their sizes
                losses[scheme][layer.name] = sum(found) / len(found) * layer.numel / weights
        return losses


LOWERING = _Lowering()
