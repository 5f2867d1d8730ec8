"""Layers that get their scheme together: each alone, or those that serving engines fuse."""

from collections.abc import Sequence

from qcompare.models.layers import experts_of, fused_key
from qcompare.study.layers import LinearLayer

Group = tuple[LinearLayer, ...]


def layer_groups(layers: Sequence[LinearLayer], shared: bool) -> tuple[Group, ...]:
    """The layers in their order, in groups: of one each, or of those that are fused when `shared`."""
    if not shared:
        return tuple((layer,) for layer in layers)
    groups: dict[object, list[LinearLayer]] = {}
    for layer in layers:
        groups.setdefault(experts_of(layer.name) or fused_key(layer.name), []).append(layer)
    return tuple(tuple(group) for group in groups.values())


def torn_groups(layers: Sequence[LinearLayer], layer_config: dict[str, str]) -> list[str]:
    """Fused groups that a layer config gives more than one scheme, by the name of their first layer."""
    return [
        group[0].name
        for group in layer_groups(layers, shared=True)
        if len({layer_config.get(layer.name) for layer in group}) > 1
    ]
