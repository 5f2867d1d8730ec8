"""The choice under a budget is the best there is."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompare.formats.bits import count
from qcompare.recipes.allocate import Option, allocate, choose
from qcompare.recipes.groups import layer_groups, torn_groups

from .test_edges import llama_like

options = st.builds(Option, st.integers(1, 20), st.integers(0, 50).map(float))
tables = st.integers(2, 3).flatmap(
    lambda width: st.lists(st.lists(options, min_size=width, max_size=width), min_size=1, max_size=5)
)


@given(tables, st.integers(0, 80))
def test_no_other_choice_within_the_room_has_less_loss(table: list[list[Option]], room: int) -> None:
    fitting = [sum(o.loss for o in rows) for rows in product(*table) if sum(o.bits for o in rows) <= room]
    if not fitting:
        with pytest.raises(ValueError, match="below the cheapest"):
            choose(table, room)
        return
    chosen = [row[index] for row, index in zip(table, choose(table, room), strict=True)]
    assert sum(o.bits for o in chosen) <= room
    assert sum(o.loss for o in chosen) == min(fitting)


def test_it_is_auto_rounds_optimum() -> None:
    from auto_round.auto_scheme.delta_loss import choose_bits_per_layer_with_path

    table = [[Option(bits * (i % 3 + 1), (9 - bits) * (i % 5 + 0.1 * i)) for bits in (4, 6, 8)] for i in range(40)]
    theirs = {str(i): [[k, o.bits, o.loss, [str(i)]] for k, o in enumerate(row)] for i, row in enumerate(table)}
    for room in (330, 400, 500, 620):
        loss, _ = choose_bits_per_layer_with_path(theirs, room)
        ours = sum(row[index].loss for row, index in zip(table, choose(table, room), strict=True))
        assert ours == pytest.approx(loss, abs=1e-9)


@pytest.mark.parametrize("shared", [True, False])
def test_fused_layers_get_one_scheme_when_asked(shared: bool) -> None:
    layers = llama_like(6)
    losses = {"MXFP4": {x.name: 1.0 + (7 * i) % 11 for i, x in enumerate(layers)}, "MXFP8": {}}
    config = allocate(layer_groups(layers, shared), ("MXFP4", "MXFP8"), losses, 5.0, True)
    assert (torn_groups(layers, config) == []) is shared
    assert 4.9 <= count(layers, config, 5.0).achieved <= 5.0
