"""Which scheme for which layer costs the least within a budget: an exact dynamic programme.

The same optimum as `auto_round.auto_scheme.delta_loss.choose_bits_per_layer_with_path`, without loading torch, so
that one scoring serves every budget; a test compares the two.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from qcompare.formats.bits import budget_bits, layer_bits
from qcompare.recipes.groups import Group
from qcompare.study.layers import LayerConfig, LayerLosses


@dataclass(frozen=True)
class Option:
    """One scheme for one group of layers."""

    bits: int
    loss: float


@dataclass(frozen=True)
class _State:
    """The best way to spend some bits on the first groups."""

    loss: float
    choice: int = 0
    before: "_State | None" = None


def allocate(
    groups: Sequence[Group], schemes: Sequence[str], losses: LayerLosses, avg_bits: float, ignore_scale_bits: bool
) -> LayerConfig:
    """The layer config of least total loss whose average is at most `avg_bits`.

    Raises:
        ValueError: even the cheapest schemes take more.
    """
    return allocate_each(groups, schemes, losses, [avg_bits], ignore_scale_bits)[0]


def allocate_each(
    groups: Sequence[Group],
    schemes: Sequence[str],
    losses: LayerLosses,
    budgets: Sequence[float],
    ignore_scale_bits: bool,
) -> list[LayerConfig]:
    """As `allocate`, for each of several budgets (average bits), in one go.

    Raises:
        ValueError: even the cheapest schemes take more than the smallest budget.
    """
    table = [[_option(group, scheme, losses, ignore_scale_bits) for scheme in schemes] for group in groups]
    layers = [layer for group in groups for layer in group]
    chosen = choose_each(table, [budget_bits(avg_bits, layers) for avg_bits in budgets])
    return [
        {layer.name: schemes[choice] for group, choice in zip(groups, choices, strict=True) for layer in group}
        for choices in chosen
    ]


def choose(table: Sequence[Sequence[Option]], limit: int) -> list[int]:
    """For each row the index of the option to take, so that bits fit into `limit` and losses add up to the least.

    Raises:
        ValueError: nothing fits.
    """
    return choose_each(table, [limit])[0]


def choose_each(table: Sequence[Sequence[Option]], limits: Sequence[int]) -> list[list[int]]:
    """As `choose`, for each of several numbers of bits: what is best for the largest holds what is best for all.

    Raises:
        ValueError: nothing fits into the smallest.
    """
    least = [min(option.bits for option in row) for row in table]
    still_needed = list(accumulate(reversed(least), initial=0))[::-1][1:]
    states = {0: _State(0.0)}
    for row, needed in zip(table, still_needed, strict=True):
        states = _pareto(_extend(states, row, max(limits) - needed))
    used = sorted(states)
    if not used or used[0] > min(limits):
        raise ValueError("the budget is below the cheapest schemes")
    return [_choices(states[used[bisect_right(used, limit) - 1]]) for limit in limits]


def _extend(states: dict[int, _State], row: Sequence[Option], limit: int) -> dict[int, _State]:
    grown: dict[int, _State] = {}
    for used, state in states.items():
        for index, option in enumerate(row):
            bits, loss = used + option.bits, state.loss + option.loss
            if bits <= limit and (bits not in grown or loss < grown[bits].loss):
                grown[bits] = _State(loss, index, state)
    return grown


def _pareto(states: dict[int, _State]) -> dict[int, _State]:
    """Without those that take more bits for no less loss."""
    kept: dict[int, _State] = {}
    lowest = float("inf")
    for bits in sorted(states):
        if states[bits].loss < lowest:
            kept[bits] = states[bits]
            lowest = states[bits].loss
    return kept


def _choices(state: _State) -> list[int]:
    choices = []
    while state.before is not None:
        choices.append(state.choice)
        state = state.before
    return choices[::-1]


def _option(group: Group, scheme: str, losses: LayerLosses, ignore_scale_bits: bool) -> Option:
    of_scheme = losses.get(scheme, {})
    return Option(
        bits=sum(layer_bits(layer, scheme, ignore_scale_bits) for layer in group),
        loss=sum(of_scheme.get(layer.name, 0.0) for layer in group),
    )
