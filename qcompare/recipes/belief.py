"""What is believed of the losses of layers, as a normal distribution, and what measured configs teach about it.

The losses of a layer config add up, each of them uncertain. A measured difference between two configs is a sum of
losses plus noise, so the belief after it follows in closed form (a Kalman filter). Configs to measure next are drawn
from the belief (Thompson sampling, Russo et al. 2018, arXiv:1707.02038): layers of which little is certain change
scheme, layers of which much is known do not. Every config drawn is the best within the budget for some losses that
are likely, so it exchanges layers of equal cost.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qcompare.formats.bits import budget_bits, layer_bits
from qcompare.recipes.allocate import Option, choose
from qcompare.recipes.groups import Group
from qcompare.study.layers import LayerConfig, LayerLosses

if TYPE_CHECKING:
    import numpy as np

SPREAD = 0.6
"""Standard deviation of a loss over its size: how far off scores are, and what layers do to each other."""
TEMPERATURE = 0.6
"""Of draws: below 1 they stay nearer to what is believed."""


class Belief:
    """Losses of groups at schemes, one after the other as a vector of groups × schemes."""

    def __init__(
        self,
        groups: Sequence[Group],
        schemes: Sequence[str],
        losses: LayerLosses,
        avg_bits: float,
        ignore_scale_bits: bool,
        seed: int,
    ) -> None:
        import numpy as np

        self.groups, self.schemes = groups, schemes
        self._room = budget_bits(avg_bits, [layer for group in groups for layer in group])
        self._bits = [
            [sum(layer_bits(layer, scheme, ignore_scale_bits) for layer in group) for scheme in schemes]
            for group in groups
        ]
        of_group = [
            [sum(losses.get(scheme, {}).get(layer.name, 0.0) for layer in group) for scheme in schemes]
            for group in groups
        ]
        self._mean = np.array(of_group, dtype=float).ravel()
        self._covariance = np.diag((SPREAD * self._mean) ** 2)
        self._random = np.random.default_rng(seed)

    def scale(self, factor: float) -> None:
        """Multiply all losses, so that they are in the unit of what is measured."""
        self._mean *= factor
        self._covariance *= factor**2

    def total(self, config: Mapping[str, str]) -> float:
        """The loss expected of a config."""
        return float(self._takes(config) @ self._mean)

    def expected_best(self) -> LayerConfig:
        """The best config within the budget, by the losses that are expected."""
        return self._best(self._mean)

    def draw(self) -> LayerConfig:
        """The best config within the budget, by losses drawn from the belief."""
        noise = self._random.multivariate_normal(0 * self._mean, self._covariance)
        return self._best(self._mean + TEMPERATURE * noise)

    def learn(self, one: Mapping[str, str], other: Mapping[str, str], difference: float, stderr: float) -> None:
        """Take in that `one` was measured to cost so much more than `other`, give or take a standard error."""
        import numpy as np

        change = self._takes(one) - self._takes(other)
        spread = self._covariance @ change
        gain = spread / (change @ spread + stderr**2)
        self._mean += gain * (difference - change @ self._mean)
        self._covariance -= np.outer(gain, spread)

    def _best(self, losses: "np.ndarray") -> LayerConfig:
        width = len(self.schemes)
        table = [
            [Option(bits, float(loss)) for bits, loss in zip(row, losses[width * n : width * (n + 1)], strict=True)]
            for n, row in enumerate(self._bits)
        ]
        chosen = zip(self.groups, choose(table, self._room), strict=True)
        return {layer.name: self.schemes[choice] for group, choice in chosen for layer in group}

    def _takes(self, config: Mapping[str, str]) -> "np.ndarray":
        """Ones where a config takes a group's loss at a scheme, else zeros."""
        import numpy as np

        taken = np.zeros((len(self.groups), len(self.schemes)))
        for place, group in enumerate(self.groups):
            taken[place, self.schemes.index(config[group[0].name])] = 1.0
        return taken.ravel()
