"""The chart under the budget slider: how large the model is at each budget that can be reached."""

from dataclasses import dataclass

from qcompare.formats.bits import names, stored_bytes
from qcompare.models.facts import ModelFacts
from qcompare.study.spec import Study

WIDTH, HEIGHT, MARGIN = 400, 96, 28
"""Of the drawing, without unit; `MARGIN` on all sides."""


@dataclass(frozen=True)
class Mark:
    """A budget in the chart."""

    bits: float
    size_bytes: float
    x: float
    y: float


@dataclass(frozen=True)
class Reach:
    """The budgets that can be reached, and the model's size at both ends; between them it grows in a line."""

    bits: tuple[float, float]
    sizes: tuple[int, int]
    """Bytes of all weights as stored, scales and unquantized ones included."""

    def mark(self, bits: float) -> Mark:
        """Where a budget lies; one beyond an end lies there."""
        low, high = self.bits
        share = min(1.0, max(0.0, (bits - low) / (high - low))) if high > low else 0.0
        size = self.sizes[0] + share * (self.sizes[1] - self.sizes[0])
        x, y = MARGIN + share * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)
        return Mark(low + share * (high - low), size, x, y)

    @property
    def ends(self) -> tuple[Mark, Mark]:
        """The smallest and the largest."""
        return self.mark(self.bits[0]), self.mark(self.bits[1])


def read_reach(facts: ModelFacts, study: Study, bits: tuple[float, float]) -> Reach:
    """What the schemes of a study can reach on a model.

    Args:
        bits: lowest and highest budget, as the study counts them.
    """
    described = facts.of_study(study)
    low, high = (
        stored_bytes(described.layers, dict.fromkeys(names(described.layers), scheme), described.num_stored_params)
        for scheme in (study.schemes[0], study.schemes[-1])
    )
    return Reach(bits, (low, high))
