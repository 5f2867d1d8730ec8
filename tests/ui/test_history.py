"""The list of stored studies and what stands beside it, without a browser."""

import json
import re
from pathlib import Path

import pytest

from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Status
from qcompare.study.spec import Study
from qcompare.ui.app import study_of
from qcompare.ui.history.cleanup import looked
from qcompare.ui.history.tab import ANY, SHOWN, View, asked_in_words, comparer, history_rows
from tests.synthetic import add_study, finished_study, run_job


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


def rows(store: Store, view: View = View(), search: str = "", state: str = ANY) -> list[str]:  # noqa: B008
    """The ids of the studies in the list."""
    return re.findall(r'data-study="([^"]+)"', history_rows(store, view, search, state, ""))


def test_a_tag_filters_the_list_and_a_second_press_frees_it(store: Store) -> None:
    ours, _ = add_study(store), add_study(store)
    store.note(ours.id, tags=json.dumps(["paper", "<b>"]))
    view = View().after("tag", "paper")
    assert rows(store, view) == [ours.id]
    assert len(rows(store, view.after("tag", "paper"))) == 2
    assert "&lt;b&gt; <span" in history_rows(store, view, "", ANY, "")


def test_tag_search_and_state_hold_together(store: Store) -> None:
    ours, other = add_study(store, name="one"), add_study(store, name="two")
    for study in (ours, other):
        store.note(study.id, tags='["paper"]')
    assert rows(store, View(tag="paper"), "two") == [other.id]
    assert rows(store, View(tag="paper"), "", Status.FAILED.value) == []


def test_ticks_come_and_go(store: Store) -> None:
    view = View().after("tick", "a").after("tick", "b").after("tick", "a")
    assert view.ticked == ("b",)
    assert view.after("clear", "").ticked == ()


def test_ticks_of_deleted_studies_are_not_counted(store: Store) -> None:
    study = add_study(store)
    html = history_rows(store, View(ticked=(study.id, "20000101-000000")), "", ANY, "")
    assert "<b>1 ticked</b>: tick another" in html
    assert re.search(r"data-compare=\"yes\" disabled", html)


def test_two_ticked_studies_show_the_settings_that_differ(store: Store) -> None:
    ours, other = add_study(store), add_study(store, Study(limit=77))
    html = history_rows(store, View(ticked=(ours.id, other.id)), "", ANY, "")
    assert re.search(r"<code>limit</code></th><td>100</td><td>77</td>", html)
    assert "qc-diff" not in history_rows(store, View(ticked=(ours.id,)), "", ANY, "")


def test_a_long_list_is_shown_in_pieces(store: Store) -> None:
    for _ in range(SHOWN + 3):
        add_study(store)
    assert len(rows(store)) == SHOWN
    assert len(rows(store, View().after("more", ""))) == SHOWN + 3


def test_an_empty_list_says_the_next_step(store: Store) -> None:
    assert "No study yet." in history_rows(store, View(), "", ANY, "")
    add_study(store)
    assert "No study matches." in history_rows(store, View(), "nothing like it", ANY, "")


def test_what_a_study_asked_is_told_in_one_line(store: Store) -> None:
    study = add_study(store, Study(model="org/llama-8b", recipes=("bf16",), tasks=("piqa", "mmlu"), limit=None))
    assert asked_in_words(study) == "org/llama-8b · 1 recipe · 2 tasks · all questions"
    prompts = add_study(store, Study(tasks=(), prompts=("Hi",), recipes=("bf16",)))
    assert asked_in_words(prompts) == "demo · 1 recipe · 1 prompt"


def test_ticked_studies_are_opened_side_by_side(store: Store, home: Path) -> None:
    ids = tuple(finished_study(home, Study(recipes=("bf16", recipe))).id for recipe in ("mixed", "tail"))
    chosen, tabs = comparer(store)(View(ticked=ids))
    assert chosen == ",".join(ids)
    assert tabs.selected == "results"
    assert study_of(store, chosen) == chosen, "the address opens them again"


def test_leftovers_are_named_and_sized_before_they_go(store: Store, settings: Settings) -> None:
    study = add_study(store)
    assert "Nothing to remove." in looked(settings)[0]
    left = store.home / "exports" / "20000101-000000.mixed-5-auto_round" / "weights.bin"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x" * 5000)
    said, button = looked(settings)
    assert "exports/20000101-000000.mixed-5-auto_round" in said and "of a study that was deleted" in said
    assert button["value"] == "Remove, free 5 kB"
    run_job(store, store.jobs(study.id)[0].id)
    assert "Jobs are running" in looked(settings)[0]
