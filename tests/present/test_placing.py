"""Names of points: one a recipe where it has several budgets, none over another."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompare.compare.table import Comparison, read_comparison
from qcompare.present.figures import size_bubbles
from qcompare.present.placing import LINE_HEIGHT, POINT, Name, in_columns, series_of, spread
from qcompare.present.plots import accuracy_against_bits, divergence_against_bits
from qcompare.store import Store
from qcompare.study.spec import Study
from tests.synthetic import finished_study

HEIGHTS = st.lists(st.floats(0, 1000), max_size=12).map(sorted)


@pytest.fixture
def several(home: Path) -> Comparison:
    study = finished_study(home, Study(avg_bits=(4.5, 6.0)))
    return read_comparison(Store(home), (study.id,))


@given(HEIGHTS, st.floats(0.1, 50))
def test_names_are_moved_apart_and_no_further_than_that_takes(heights: list[float], least: float) -> None:
    placed = spread(heights, least)
    assert all(above - below >= least * (1 - 1e-9) for below, above in itertools.pairwise(placed))
    assert sum(placed) == pytest.approx(sum(heights), rel=1e-6, abs=1e-6)
    apart = all(above - below >= least for below, above in itertools.pairwise(heights))
    assert placed == pytest.approx(heights) or not apart


def test_names_stand_together_that_are_near() -> None:
    names = [Name(text, x, y, "mixed", 5) for text, x, y in (("a", 8.0, 1), ("b", 4.0, 3), ("c", 4.2, 2))]
    assert [[name.text for name in column] for column in in_columns(names, 0.5)] == [["c", "b"], ["a"]]


def test_a_recipe_at_several_budgets_is_one_series(several: Comparison) -> None:
    found = {each.name: [row.avg_bits for row in each.rows] for each in series_of(several.rows)}
    assert found["Mixed"] == found["Input end high"] == [4.5, 6.0]
    assert found["BF16"] == found["Uniform"] == [None]


def test_rows_that_a_study_names_itself_are_no_series(home: Path) -> None:
    recipes = [{"recipe": "mixed", "title": "Mine"}, "bf16"]
    study = finished_study(home, Study.model_validate({"recipes": recipes, "avg_bits": (4.5, 6.0)}))
    rows = read_comparison(Store(home), (study.id,)).rows
    assert [len(each.rows) for each in series_of(rows)] == [1] * len(rows)


@pytest.mark.parametrize("draw", [accuracy_against_bits, divergence_against_bits, size_bubbles])
def test_each_series_is_named_once_and_no_name_is_over_another(several: Comparison, draw: object) -> None:
    figure = draw(several)  # type: ignore[operator]
    notes = [note for note in figure.layout.annotations if note.name == POINT]
    wanted = {each.name for each in series_of(several.scored)} - ({"BF16"} if draw is not size_bubbles else set())
    assert sorted(note.text for note in notes) == sorted(wanted)
    low, high = figure.layout.yaxis.range
    pixels = [(note.x, -(note.y - low) / (high - low) * figure.layout.height + note.ay) for note in notes]
    near = 0.05 * (figure.layout.xaxis.range[1] - figure.layout.xaxis.range[0])
    for n, (x, y) in enumerate(pixels):
        for other_x, other_y in pixels[:n]:
            assert abs(x - other_x) > near or abs(y - other_y) >= 0.9 * LINE_HEIGHT


def test_what_has_the_same_bits_stands_side_by_side(several: Comparison) -> None:
    traces = {trace.name: trace for trace in accuracy_against_bits(several).data}
    places = [traces[name].x[0] for name in ("Output end high", "Input end high", "Mixed")]
    assert places == sorted(places) and len(set(places)) == 3
    assert places[1] == pytest.approx(4.5, abs=0.01)
