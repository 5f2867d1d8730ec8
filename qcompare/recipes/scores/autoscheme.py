"""auto-round's AutoScheme, the reference: the sum of absolute gradient × rounding error of a layer's weights.

All of its API is in `recipes/autoscheme.py`. Source: `auto_round/auto_scheme/delta_loss.py`.
"""

from typing import TYPE_CHECKING

from qcompare.recipes.scores import LayerScorer
from qcompare.study.layers import LayerLosses

if TYPE_CHECKING:
    from qcompare.recipes.lab import Lab


class _AutoScheme(LayerScorer):
    name = "autoscheme"
    source = "auto-round, AutoScheme"
    scores_embeddings = False

    def score(self, lab: "Lab", share: float) -> LayerLosses:
        return lab.autoscheme_scores()


AUTOSCHEME = _AutoScheme()
