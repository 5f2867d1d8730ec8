"""What Progress shows of jobs and of the queue, without a browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcompare.jobs.control import pause
from qcompare.present.queue import read_queue
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.ids import parse_ids
from qcompare.study.records import Cost, Range
from qcompare.study.spec import Study
from qcompare.ui.parts import PageState
from qcompare.ui.progress import queue
from qcompare.ui.progress import tab as progress
from qcompare.ui.progress.queue import queue_actions
from tests.synthetic import add_study, finish_job, finished_study, run_job

COST = Cost(
    seconds=Range.around(62, 0.25), memory_bytes=Range.around(1.7e9, 0.2), ram_bytes=Range.around(1.7e9, 0.2),
    disk_bytes=1, basis="a rule of thumb", stages={},
)  # fmt: skip


def shown(home: Path, part: Callable[[PageState], list[Any]], study_id: str) -> str:
    """The HTML of a part of the tab."""
    return str(part(PageState(Store(home), parse_ids(study_id), ""))[0])


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


def test_time_and_memory_stand_beside_what_was_expected(store: Store, home: Path) -> None:
    study = store.add_study(Study(recipes=("bf16",)), "one", [("bf16", None, COST)])
    finish_job(store, study, store.jobs(study.id)[0].id)
    html = shown(home, progress._show_rows, study.id)
    assert "1.9 GB of memory · est. 1.7 GB" in html and "est. 1:02" in html


def test_a_study_alone_needs_no_queue(store: Store, home: Path) -> None:
    study = add_study(store)
    assert shown(home, queue._show, study.id) == ""


def test_the_queue_names_all_studies_with_work_in_order(store: Store, home: Path) -> None:
    finished_study(home)
    studies = [add_study(store, name=name) for name in ("first", "<b>second", "third")]
    run_job(store, store.jobs(studies[0].id)[0].id)
    pause(studies[2].id, Settings(home=home))
    html = shown(home, queue._show, studies[1].id)
    assert html.index("first") < html.index("&lt;b&gt;second") < html.index("third")
    assert "1 running, 4 waiting, 0 done" in html
    assert "· paused" in html


def test_only_moves_that_change_something_are_offered(store: Store, home: Path) -> None:
    for name in ("a", "b", "c"):
        add_study(store, name=name)
    state = PageState(store, (), "")
    offered = [[action.act for action in queue_actions(state, queued)][:2] for queued in read_queue(store)]
    assert offered == [["last", "pause"], ["first", "last"], ["first", "pause"]]


def test_several_studies_are_sent_to_their_own_pages(store: Store, home: Path) -> None:
    ids = [add_study(store, name=name).id for name in ("one", "<i>two")]
    html = shown(home, progress._show_rows, ",".join(ids))
    assert html.count("tab=progress") == 2 and "&lt;i&gt;two" in html


def test_a_study_that_was_deleted_just_now_is_no_error(store: Store, home: Path) -> None:
    kept = add_study(store).id
    assert "20261127-abcdef" not in shown(home, progress._show_rows, "20261127-abcdef")
    assert progress._of_several(PageState(store, (kept, "20261127-abcdef"), "")) == ""


def test_a_large_study_is_drawn_less_often(store: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budgets = tuple(4 + n / 100 for n in range(1, 81))
    study = add_study(store, Study(recipes=("mixed",), avg_bits=budgets))
    run_job(store, store.jobs(study.id)[0].id)
    state, moment = PageState(store, (study.id,), ""), 1_000_000.0
    tokens = set()
    for second in range(8):
        monkeypatch.setattr(progress.time, "time", lambda now=moment + second: now)
        tokens.add(progress._rows_token(state))
    assert len(tokens) == 4, "80 rows every two seconds"
