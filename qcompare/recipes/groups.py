"""Layers that get their scheme together: each alone, or those that serving engines fuse."""

from collections.abc import Sequence

from qcompare.models.layers import experts_of, fused_key
from qcompare.study.layers import LinearLayer

Group = tuple[LinearLayer, ...]


def layer_groups(layers: Sequence[LinearLayer], shared: bool) -> tuple[Group, ...]:
    """The layers in their order, in groups: the experts of a block, which every engine computes as one; others alone,
    or with those that are fused with them when `shared`."""
    groups: dict[object, list[LinearLayer]] = {}
    for layer in layers:
        key = experts_of(layer.name) or (fused_key(layer.name) if shared else layer.name)
        groups.setdefault(key, []).append(layer)
    return tuple(tuple(group) for group in groups.values())


def torn_groups(layers: Sequence[LinearLayer], layer_config: dict[str, str]) -> list[str]:
    """Fused groups that a layer config gives more than one scheme, by the name of their first layer."""
    return [
        group[0].name
        for group in layer_groups(layers, shared=True)
        if len({layer_config.get(layer.name) for layer in group}) > 1
    ]
