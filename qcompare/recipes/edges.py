"""`head` and `tail`: the blocks at one end of the model get the high scheme, as far as the budget goes.

The published tables compare with these baselines without code, saying only which end is raised. Here whole blocks
are raised from that end; in the first block that no longer fits, those of its layers are raised that use most of
what is left of the budget, and so on until no layer fits or less than `FILL_GAP` bits are left.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import ClassVar

from qcompare.formats.bits import budget_bits, layer_bits, names, total_bits
from qcompare.recipes.base import BuildContext, Recipe
from qcompare.recipes.groups import Group
from qcompare.study.layers import LayerConfig
from qcompare.words import gettext_noop

FILL_GAP = 0.02
"""Average bits that may stay unused."""
MAX_STEPS = 1_000_000
"""Above this many distinct fillings of one block the choice goes largest first."""


def edge_config(
    groups: Sequence[Group], schemes: Sequence[str], avg_bits: float, ignore_scale_bits: bool, end: str
) -> LayerConfig:
    """Layer config of `head` (blocks nearest lm_output end high) or `tail` (blocks nearest the embedding high).

    Of more than two schemes, the first and the last are used. The layers of a group are raised together. The
    achieved average is at most `avg_bits`, which must lie in the schemes' range.
    """
    layers = [layer for group in groups for layer in group]
    config = dict.fromkeys(names(layers), schemes[0])
    weights = sum(layer.numel for layer in layers)
    left = budget_bits(avg_bits, layers) - total_bits(layers, config, ignore_scale_bits)
    for block in _blocks(groups, from_the_end=end == "head"):
        cost = {group[0].name: _cost(group, schemes, ignore_scale_bits) for group in block}
        raised = best_filling(cost, left)
        config.update(
            dict.fromkeys(names(x for group in block if group[0].name in raised for x in group), schemes[-1])
        )
        left -= sum(cost[name] for name in raised)
        if len(raised) < len(block) and left < FILL_GAP * weights:
            break
    return config


def _cost(group: Group, schemes: Sequence[str], ignore_scale_bits: bool) -> int:
    """Bits that raising a group takes."""
    ends = [sum(layer_bits(layer, scheme, ignore_scale_bits) for layer in group) for scheme in schemes]
    return ends[-1] - ends[0]


def best_filling(cost: dict[str, int], left: int) -> list[str]:
    """The items whose costs add up to the most that fits into `left`; earlier items are preferred."""
    if sum(cost.values()) <= left:
        return list(cost)
    reached: dict[int, tuple[str, ...]] = {0: ()}
    for name, bits in cost.items():
        if len(reached) > MAX_STEPS:
            return _largest_first(cost, left)
        for total, chosen in list(reached.items()):
            if total + bits <= left:
                reached.setdefault(total + bits, (*chosen, name))
    return list(reached[max(reached)])


def _largest_first(cost: dict[str, int], left: int) -> list[str]:
    chosen = []
    for name in sorted(cost, key=lambda item: -cost[item]):
        if cost[name] <= left:
            chosen.append(name)
            left -= cost[name]
    return chosen


def _blocks(groups: Sequence[Group], from_the_end: bool) -> list[list[Group]]:
    ordered = sorted(groups, key=lambda group: group[0].block)
    blocks = [list(members) for _, members in groupby(ordered, key=lambda group: group[0].block)]
    return blocks[::-1] if from_the_end else blocks


class _Edge(Recipe):
    by_default = True
    end: ClassVar[str]

    def config_from_sizes(self, context: BuildContext) -> LayerConfig:
        study = context.study
        return edge_config(context.groups, study.schemes, context.budget, study.ignore_scale_zp_bits, self.end)


class Head(_Edge):
    name = "head"
    label = gettext_noop("Output end high")
    text = gettext_noop("The last blocks, near the output, get the high scheme.")
    colour = "#56B4E9"
    marker = "triangle-up"
    published_as = "Head layers {high}"
    end = "head"


class Tail(_Edge):
    name = "tail"
    label = gettext_noop("Input end high")
    text = gettext_noop("The first blocks, near the input, get the high scheme.")
    colour = "#874B78"
    marker = "triangle-down"
    published_as = "Tail layers {high}"
    end = "tail"
