"""Layer configs next to a given one that fit the same budget: one group rises, and another falls where it must pay.

Those that the scores find least harmful come first: where scores are a little wrong, they are the likeliest gains.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qcompare.formats.bits import budget_bits, layer_bits, total_bits
from qcompare.recipes.groups import Group
from qcompare.study.layers import LayerConfig, LayerLosses


@dataclass(frozen=True)
class _Step:
    """One group to another scheme, and what that adds."""

    group: Group
    scheme: str
    bits: int
    loss: float

    @property
    def config(self) -> LayerConfig:
        return {layer.name: self.scheme for layer in self.group}


def exchanges(
    groups: Sequence[Group],
    schemes: Sequence[str],
    losses: LayerLosses,
    config: Mapping[str, str],
    avg_bits: float,
    ignore_scale_bits: bool,
) -> list[LayerConfig]:
    """All configs within the budget with one group risen and at most one fallen, those of least predicted loss first.

    Args:
        schemes: from which the config chose, lowest bits first.
    """
    steps = [step for group in groups for step in _steps(group, schemes, losses, config, ignore_scale_bits)]
    layers = [layer for group in groups for layer in group]
    room = budget_bits(avg_bits, layers) - total_bits(layers, config, ignore_scale_bits)
    falling = [step for step in steps if step.bits < 0]
    found: list[tuple[float, LayerConfig]] = []
    for up in (step for step in steps if step.bits > 0):
        if up.bits <= room:
            found.append((up.loss, {**config, **up.config}))
            continue
        found += [
            (up.loss + down.loss, {**config, **up.config, **down.config})
            for down in falling
            if down.group is not up.group and up.bits + down.bits <= room
        ]
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]


def _steps(
    group: Group, schemes: Sequence[str], losses: LayerLosses, config: Mapping[str, str], ignore_scale_bits: bool
) -> Iterator[_Step]:
    def loss(scheme: str) -> float:
        return sum(losses.get(scheme, {}).get(layer.name, 0.0) for layer in group)

    def bits(scheme: str) -> int:
        return sum(layer_bits(layer, scheme, ignore_scale_bits) for layer in group)

    now = config[group[0].name]
    for scheme in schemes:
        if scheme != now:
            yield _Step(group, scheme, bits(scheme) - bits(now), loss(scheme) - loss(now))
