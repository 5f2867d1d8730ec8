"""What Results shows, without a browser."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qcompare.compare.table import read_comparison
from qcompare.errors import InvalidStudy
from qcompare.jobs.library import set_margin
from qcompare.jobs.submit import ask_more, study_name, unused_name
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Status
from qcompare.study.spec import Study
from qcompare.ui.parts import PageState, answer_states
from qcompare.ui.results import export, figures, more, tab, take_away
from qcompare.ui.shared import SharedStore
from tests.synthetic import add_study, finished_study


def test_a_study_of_the_original_alone_draws_no_charts_and_says_the_next_step(home: Path) -> None:
    study = finished_study(home, Study(recipes=("bf16",)))
    state = PageState(Store(home), (study.id,), "")
    assert "add a recipe in New" in tab._show(state)[0]
    assert figures._show(state) == [""]


def test_a_cancelled_study_draws_no_charts_and_says_the_next_step(home: Path) -> None:
    store = Store(home)
    study = add_study(store)
    store.ask_to_stop([job.id for job in store.jobs(study.id)], Status.CANCELLED)
    state = PageState(store, (study.id,), "")
    assert "Progress says why, and can resume it" in tab._show(state)[0]
    assert figures._show(state) == [""]


def test_the_recipe_to_ship_is_preselected_for_export(home: Path) -> None:
    study = finished_study(home, Study(limit=100))
    _, recipe, *_ = export._show(PageState(Store(home), (study.id,), ""))
    assert recipe["value"] == f"{study.id}.mixed-5"


def test_a_second_study_of_the_same_settings_has_a_name_of_its_own(home: Path) -> None:
    store = Store(home)
    add_study(store, name="demo · 5 bits")
    assert unused_name(store, "demo · 5 bits") == "demo · 5 bits (2)"
    assert unused_name(store, "demo · 6 bits") == "demo · 6 bits"


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({}, "X · MXFP4/MXFP8 · 5 bits · 4 tasks × 100"),
        ({"avg_bits": (4.5, 6)}, "X · MXFP4/MXFP8 · 4.5, 6 bits · 4 tasks × 100"),
        ({"tasks": ("mmlu",), "limit": None}, "X · MXFP4/MXFP8 · 5 bits · mmlu, all questions"),
        ({"recipes": ("bf16", "uniform"), "tasks": ()}, "X · MXFP4/MXFP8 · 2 prompts"),
        ({"recipes": ("bf16", "awq_w4a16")}, "X · bf16, awq_w4a16 · 4 tasks × 100"),
    ],
)
def test_studies_of_different_questions_recipes_or_budgets_have_different_names(asked: Any, name: str) -> None:
    assert study_name(Study(**asked), "X") == name


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


def test_a_file_is_made_once_for_all_until_the_study_changes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = finished_study(home, Study(recipes=("bf16", "uniform")))
    store, made = SharedStore(home), []
    kind = take_away.FILES["csv"]
    monkeypatch.setitem(
        take_away.FILES, "csv", replace(kind, make=lambda *asked: made.append(asked) or kind.make(*asked))
    )
    first = take_away._file(store, study.id, "csv")
    assert take_away._file(store, study.id, "csv") == first and len(made) == 1
    Store(home).set_margin(study.id, 3.0)
    take_away._file(store, study.id, "csv")
    assert len(made) == 2


def test_a_study_that_goes_on_keeps_its_given_name_with_the_new_number_of_questions(
    home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcompare.jobs.submit.ensure_running", lambda settings: None)
    spec, store = Study(limit=25, tasks=("piqa",), recipes=("bf16",)), Store(home)
    given = add_study(store, spec, name=study_name(spec, "X"))
    own = add_study(store, spec, name="Mine")
    assert ask_more(given.id, 60, settings).name == "X · bf16 · piqa × 60"
    assert ask_more(own.id, 60, settings).name == "Mine · 60 questions"
