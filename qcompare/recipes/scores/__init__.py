"""Ways to score how much each layer loses at each scheme: a file each, and a line in `SCORERS`.

A recipe adds up the losses of its layers and chooses the layer config of least total within its budget.
"""

from typing import TYPE_CHECKING, ClassVar

from qcompare.registry import Registry
from qcompare.study.layers import LayerLosses
from qcompare.words import gettext_noop

if TYPE_CHECKING:
    from qcompare.recipes.lab import Lab


class LayerScorer:
    """One way to score layers."""

    name: ClassVar[str]
    source: ClassVar[str]
    """Where it was published, or whose it is."""
    in_nats: ClassVar[bool] = False
    """The total predicts the KL divergence to the original per token, in nats."""
    scores_embeddings: ClassVar[bool] = True
    """It has losses for an embedding that is to be quantized."""

    def score(self, lab: "Lab", share: float) -> LayerLosses:
        """Losses of all layers at all schemes of the study but BF16; kept, so that a further budget costs nothing.

        Args:
            share: of the calibration text, from 0 to 1, for those that can do with less.
        """
        raise NotImplementedError


SCORERS: Registry[LayerScorer] = Registry(
    "qcompare.scores",
    gettext_noop("layer scorer"),
    {
        "kl_fisher": "qcompare.recipes.scores.kl_fisher:KL_FISHER",
        "autoscheme": "qcompare.recipes.scores.autoscheme:AUTOSCHEME",
        "signed_gradient": "qcompare.recipes.scores.signed_gradient:SIGNED_GRADIENT",
        "lowering": "qcompare.recipes.scores.lowering:LOWERING",
        "data_free": "qcompare.recipes.scores.data_free:DATA_FREE",
    },
)
