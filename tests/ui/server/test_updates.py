"""What an open page is told each second."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from starlette.testclient import TestClient

from qcompare.errors import NotFound
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Progress
from qcompare.ui import shared
from qcompare.ui.parts import PageState, Panel, refresh
from tests.synthetic import add_study, finished_study, run_job
from tests.ui.server.conftest import Served


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Served, Store, str]]:
    """An app, its home, and a job that runs there."""
    home = tmp_path / "home"
    home.mkdir()
    with FileLock(home / "supervisor.lock"):
        store = Store(home)
        job = store.jobs(add_study(store).id)[0].id
        run_job(store, job)
        yield Served(Settings(home=home, offline=True)), store, job


def ask(client: TestClient, study: str, **known: str) -> Any:
    """What a page is told that draws Progress and shows a log."""
    return client.get("/updates", params={"study": study, "job": "", "rows": "", "log": ""} | known).json()


def test_a_live_panel_is_sent_when_it_would_show_something_else(running: tuple[Served, Store, str]) -> None:
    served, store, job = running
    client, study = served.client(), job.partition(".")[0]
    first = ask(client, study)
    assert set(first["live"]) == {"rows", "log"} and "waiting its turn" in first["live"]["rows"]["html"]
    known = {name: drawn["version"] for name, drawn in first["live"].items()}
    time.sleep(1.1)  # elapsed seconds move on
    assert set(ask(client, study, **known)["live"]) == {"rows"}
    store.folder(job).report(Progress(time=time.time(), stage="hellaswag", done=3, total=9, fraction=1 / 3))
    assert "33" in ask(client, study, **known)["live"]["rows"]["html"]
    ended = finished_study(served.settings.home).id
    versions = {name: drawn["version"] for name, drawn in ask(client, ended)["live"].items()}
    time.sleep(1.1)
    assert ask(client, ended, **versions)["live"] == {}  # nothing runs there


def test_the_stamp_changes_with_the_store(
    running: tuple[Served, Store, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, store, job = running
    client, study = served.client(), job.partition(".")[0]
    monkeypatch.setattr(shared, "MAX_AGE_SECONDS", 1e-3)
    stamp = ask(client, study)["stamp"]
    assert ask(client, study)["stamp"] == stamp != ""
    store.note(study, name="renamed")
    assert ask(client, study)["stamp"] not in (stamp, "")


def test_a_page_gets_only_what_it_can_draw(running: tuple[Served, Store, str]) -> None:
    served, _, job = running
    client = served.client()
    found = client.get("/updates", params={"study": job.partition(".")[0], "header": "", "nonsense": ""}).json()
    assert found["stamp"] and found["live"] == {}
    assert "rows" in ask(client, "nonsense")["live"]
    assert client.get("/updates").status_code == 200


def test_the_language_is_the_page_s(running: tuple[Served, Store, str]) -> None:
    served, _, job = running
    found = ask(served.client(), job.partition(".")[0], lang="zh")
    assert "取消" in found["live"]["rows"]["html"]


def test_a_study_that_is_deleted_meanwhile_is_no_fault(tmp_path: Path) -> None:
    """Between reading the list of studies and reading one of them."""

    def gone(state: PageState) -> Any:
        raise NotFound("unknown study")

    broken = Panel("broken", [object()], gone, gone)
    whole = Panel("whole", [object()], lambda state: 1, lambda state: ["shown"])
    seen, values = refresh([broken, whole], PageState(Store(tmp_path), ("x",), ""), {})
    assert seen == {"whole": 1} and values[1] == "shown"
