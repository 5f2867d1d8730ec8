"""What Results shows, without a browser."""

from pathlib import Path
from typing import Any

import pytest

from qcompare.compare.table import read_comparison
from qcompare.errors import InvalidStudy
from qcompare.jobs.library import set_margin
from qcompare.jobs.submit import ask_more, unused_name
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Status
from qcompare.study.spec import Study
from qcompare.ui.parts import PageState, answer_states
from qcompare.ui.results import export, more, tab
from tests.synthetic import add_study, finished_study


def visible(values: list[Any]) -> list[bool]:
    return [value["visible"] for value in values if isinstance(value, dict) and "visible" in value]


def test_a_study_of_the_original_alone_draws_no_charts_and_says_the_next_step(home: Path) -> None:
    study = finished_study(home, Study(recipes=("bf16",)))
    words, _, _, *figures = tab._show(PageState(Store(home), (study.id,), ""))
    assert "add a recipe in New" in words
    assert not any(visible(figures))


def test_a_cancelled_study_draws_no_charts_and_says_the_next_step(home: Path) -> None:
    store = Store(home)
    study = add_study(store)
    store.ask_to_stop([job.id for job in store.jobs(study.id)], Status.CANCELLED)
    words, _, _, *figures = tab._show(PageState(store, (study.id,), ""))
    assert "Progress says why, and can resume it" in words
    assert not any(visible(figures))


def test_the_recipe_to_ship_is_preselected_for_export(home: Path) -> None:
    study = finished_study(home, Study(limit=100))
    _, recipe, *_ = export._show(PageState(Store(home), (study.id,), ""))
    assert recipe["value"] == f"{study.id}.mixed-5"


def test_a_second_study_of_the_same_settings_has_a_name_of_its_own(home: Path) -> None:
    store = Store(home)
    add_study(store, name="demo · 5 bits")
    assert unused_name(store, "demo · 5 bits") == "demo · 5 bits (2)"
    assert unused_name(store, "demo · 6 bits") == "demo · 6 bits"


def test_more_questions_are_offered_where_they_would_settle_it(home: Path, settings: Settings) -> None:
    open_ = finished_study(home, Study(limit=30, tasks=("piqa",), recipes=("bf16", "tail", "mixed")))
    clear = finished_study(home, Study(limit=100))
    row, ask, margin = more._show(PageState(Store(home), (open_.id,), ""), settings)
    assert row["visible"] and ask["visible"] and margin["value"] == 1
    assert ask["value"].startswith("Ask 370 more questions")
    row, ask, _ = more._show(PageState(Store(home), (clear.id,), ""), settings)
    assert row["visible"] and not ask["visible"]
    alone = finished_study(home, Study(recipes=("bf16",)))
    assert not more._show(PageState(Store(home), (alone.id,), ""), settings)[0]["visible"]


def test_the_margin_changes_the_answer_and_is_kept_with_the_study(home: Path, settings: Settings) -> None:
    study = finished_study(home, Study(limit=100))
    state = PageState(Store(home), (study.id,), "")
    before = answer_states(state)
    set_margin(study.id, 30, settings)
    assert answer_states(state) != before
    assert read_comparison(Store(home), (study.id,)).study.margin == 30
    with pytest.raises(InvalidStudy, match="0 to 100 points"):
        set_margin(study.id, 101, settings)


def test_all_questions_asked_cannot_be_more(home: Path, settings: Settings) -> None:
    study = finished_study(home, Study(limit=30, tasks=("piqa",)))
    with pytest.raises(InvalidStudy, match="add a task"):
        ask_more(study.id, 30, settings)
