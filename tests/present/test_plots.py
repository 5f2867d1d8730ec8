"""Figures: deterministic, complete, and with words beside them."""

from pathlib import Path

import pytest

from qcompare.compare.selection import read_selection
from qcompare.compare.sensitivity import read_layer_scores
from qcompare.compare.table import Comparison, read_comparison
from qcompare.present import palette
from qcompare.present.figures import KINDS, change_heatmap, figures, size_bubbles
from qcompare.present.layer_map import LayerMap, layer_map_figure, layer_maps, losses, reason
from qcompare.present.plots import Point, accuracy_against_bits, accuracy_bars, best_trade_offs, describe_accuracy
from qcompare.store import Store
from qcompare.study.recipe import RECIPES as ALL_RECIPES
from qcompare.study.records import StudyRecord
from qcompare.study.spec import Study
from tests.synthetic import RECIPES, add_study, finish_job, finished_study, layer_config


@pytest.fixture
def finished(home: Path) -> Comparison:
    study = finished_study(home)
    return read_comparison(Store(home), (study.id,))


def test_every_recipe_has_a_colour_and_marker_of_its_own() -> None:
    looks = [(palette.colour(recipe), palette.marker(recipe)) for recipe in ALL_RECIPES]
    assert len(set(looks)) == len(looks)
    assert palette.colour("brand_new") in palette.OTHERS


def test_bars_bear_recipe_colours_and_intervals(finished: Comparison) -> None:
    bar = accuracy_bars(finished).data[0]
    assert list(bar.marker.color) == [palette.colour(recipe) for recipe in RECIPES]
    assert bar.error_x.array[0] == pytest.approx(1.96 * (finished.rows[0].average_stderr or 0))


def test_bits_plot_marks_the_budget_and_bf16(finished: Comparison) -> None:
    figure = accuracy_against_bits(finished)
    assert [trace.name for trace in figure.data] == [
        "best trade-offs",
        "Uniform",
        "Output end high",
        "Input end high",
        "Mixed",
    ]
    texts = {note.text for note in figure.layout.annotations}
    assert "budget 5" in texts
    assert any(text.startswith("BF16") for text in texts)


def test_figures_are_the_same_each_time(finished: Comparison) -> None:
    assert accuracy_bars(finished).to_json() == accuracy_bars(finished).to_json()
    assert accuracy_against_bits(finished).to_json() == accuracy_against_bits(finished).to_json()


def test_words_name_every_recipe(finished: Comparison) -> None:
    words = describe_accuracy(finished)
    assert all(str(row.title) in words for row in finished.rows)


def test_plots_of_missing_scores_do_not_fail(home: Path) -> None:
    study = finished_study(home, Study(tasks=()))
    empty = read_comparison(Store(home), (study.id,))
    assert len(accuracy_bars(empty).data[0].y) == 0
    assert describe_accuracy(empty) == "No scores yet."


def maps_of(home: Path, study: StudyRecord) -> tuple[LayerMap, ...]:
    selection = read_selection(Store(home), (study.id,))
    return layer_maps(selection, read_layer_scores(Store(home), selection))


def test_a_layer_says_what_it_costs_its_rank_and_what_a_bit_buys(home: Path) -> None:
    *_, mixed = maps_of(home, finished_study(home))
    first, last_raised = mixed.ranked[0], next(each for each in reversed(mixed.ranked) if each.scheme == "MXFP8")
    assert (first.rank, first.layers, last_raised.worth) == (1, 210, 1.0)
    assert first.loss_low == pytest.approx(16 * first.loss_high)
    assert first.worth is not None and first.worth > 1
    assert mixed.ranked[-1].worth is not None and mixed.ranked[-1].worth < 1
    assert "a bit would buy" in reason(mixed.ranked[-1]) and "a bit buys" in reason(first)
    assert losses(first) in str(layer_map_figure((mixed,)).data[0].customdata)
    assert f"A bit buys most in {first.layer}" in mixed.text


def test_a_row_with_schemes_of_its_own_is_shown_with_these(home: Path) -> None:
    store = Store(home)
    study = add_study(store, Study(recipes=("head", "mixed")))
    head, mixed = store.jobs(study.id)
    finish_job(store, study, mixed.id)
    config = {
        name: {"MXFP4": "W2A16G64", "MXFP8": "W4A16G64"}[scheme] for name, scheme in layer_config("head").items()
    }
    finish_job(store, study, head.id, layer_config=config, schemes=("W2A16G64", "W4A16G64"))
    first, second = maps_of(home, study)
    assert (first.asked, second.asked) == (("W2A16G64", "W4A16G64"), ("MXFP4", "MXFP8"))
    assert "at W4A16G64, in blocks 22 to 29" in first.text
    assert (len(first.sensitivity), len(second.sensitivity)) == (0, 210), "scores of other schemes say nothing here"


def test_recipes_that_were_not_chosen_by_scores_show_them_but_no_reason(home: Path) -> None:
    head, *_ = maps_of(home, finished_study(home))
    assert len(head.sensitivity) == 210 and head.ranked == []
    assert "rank 1 of 210" in str(layer_map_figure((head,)).data[0].customdata)


def test_an_older_study_says_that_its_scores_were_not_stored(home: Path) -> None:
    study = finished_study(home)
    Store(home).folder(f"{study.id}.mixed-5").layers_file.unlink()
    *_, mixed = maps_of(home, study)
    assert "was not stored" in mixed.text and mixed.ranked == []
    assert set(layer_map_figure((mixed,)).data[0].customdata[0]) == {""}


def test_bubbles_grow_with_the_distance_from_bf16(finished: Comparison) -> None:
    sizes = {trace.name: trace.marker.size[0] for trace in size_bubbles(finished).data}
    assert sizes["BF16"] < sizes["Mixed"] < sizes["Input end high"] < sizes["Output end high"] < sizes["Uniform"]


def test_layer_maps_show_only_recipes_that_mix(home: Path) -> None:
    study = finished_study(home)
    maps = maps_of(home, study)
    assert [each.recipe for each in maps] == ["head", "tail", "mixed"]
    assert maps[0].blocks == tuple(range(30))
    assert maps[0].projections[-1] == "down_proj"


def test_layer_map_says_in_words_where_the_high_scheme_lies(home: Path) -> None:
    study = finished_study(home)
    head = maps_of(home, study)[0]
    assert head.text.startswith("Output end high: 56 of 210 layers at MXFP8, in blocks 22 to 29")


def test_layer_map_figure_has_a_panel_a_recipe(home: Path) -> None:
    study = finished_study(home)
    maps = maps_of(home, study)
    figure = layer_map_figure(maps)
    assert len(figure.data) == 3
    assert sum(cell == 1 for line in figure.data[0].z for cell in line) == 56


def test_every_figure_has_words_and_is_the_same_each_time(finished: Comparison) -> None:
    for kind in KINDS:
        assert kind.describe(finished)
        assert kind.draw(finished, 44).to_json() == kind.draw(finished, 44).to_json()


def test_on_a_slide_figures_of_many_rows_are_low_enough_to_be_enlarged(home: Path) -> None:
    store, study = Store(home), finished_study(home, Study(avg_bits=(4.5, 5, 6)))
    selection, found = read_selection(store, (study.id,)), read_comparison(store, (study.id,))
    shown, presented = (figures(store, found, selection, for_slides=slides) for slides in (False, True))
    heights = {each.title: each.plot["layout"]["height"] for each in presented if not each.wide}
    assert len(found.rows) == 11 and heights.pop("Where the time went") == 430
    assert set(heights.values()) == {340}
    assert min(each.plot["layout"]["height"] for each in shown) > 500


def test_no_point_of_the_front_is_beaten_with_fewer_bits(finished: Comparison) -> None:
    row = finished.rows[1]
    points = [Point(row, bits, value, 0.0) for bits, value in ((4, 0.4), (5, 0.39), (5, 0.5), (6, 0.5), (6, 0.6))]
    assert [(p.bits, p.value) for p in best_trade_offs(points, rising=True)] == [(4, 0.4), (5, 0.5), (6, 0.6)]
    assert [(p.bits, p.value) for p in best_trade_offs(points, rising=False)] == [(4, 0.4), (5, 0.39)]


def test_heatmap_marks_what_may_be_chance(finished: Comparison) -> None:
    heat = change_heatmap(finished).data[0]
    row = finished.rows[1]
    assert row.versus_bf16 is not None
    for task, text in zip(finished.study.tasks, heat.text[0], strict=True):
        change = row.versus_bf16.task(task)
        assert change is not None
        assert text.endswith("?") is not change.is_significant


FIVE_TASKS = ("lambada_openai", "hellaswag", "piqa", "winogrande", "mmlu")


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 8),  # uniform; mixed at three budgets; tail and head at two
        ({"schemes": ("W2A16", "W4A16"), "avg_bits": (3.0,)}, 3),
        ({"tasks": ("piqa",)}, 0),
        ({"num_fewshot": 5}, 0),
        ({"model": "demo"}, 0),
    ],
)
def test_published_points_stand_only_beside_the_same_model_schemes_and_tasks(
    home: Path, changes: dict[str, object], count: int
) -> None:
    asked = {"model": "qwen/qwen3-8b@abc", "tasks": FIVE_TASKS, "limit": 3} | changes
    study = finished_study(home, Study.model_validate(asked))
    found = read_comparison(Store(home), (study.id,))
    names = [trace.name for trace in accuracy_against_bits(found).data]
    assert sum(name.endswith(", published") for name in names) == count
    assert ("Published" in describe_accuracy(found)) is (count > 0)
