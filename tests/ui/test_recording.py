"""The recorded study that a first visitor finds."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from qcompare.compare.table import read_comparison
from qcompare.present.caveats import RECORDED, caveats
from qcompare.store import Store
from qcompare.study.records import Status
from qcompare.ui.recording import RECORDINGS, first_study, open_recordings, recorded, recordings
from tests.synthetic import add_study
from tests.ui.conftest import serve


def test_an_empty_home_opens_with_the_recording_whole_and_labelled(home: Path) -> None:
    store = Store(home)
    study_id = open_recordings(store)
    assert study_id is not None and recorded(store) == study_id
    study = store.study(study_id)
    assert study.imported and study.status is Status.SUCCESS
    assert study.name.startswith("Recorded: ")
    found = read_comparison(store, (study_id,))
    assert len(found.scored) == 14
    assert len(found.pairs) == 78
    assert caveats(found)[0].startswith("A recording, made by this app on ")


def test_the_first_story_is_opened_whichever_was_recorded_last(home: Path) -> None:
    store = Store(home)
    for story in ("winner", "tie"):
        store.note(add_study(store).id, tags=json.dumps([RECORDED, story]))
    assert list(recordings(store)) == ["winner", "tie"]
    assert first_study(store) == recorded(store) == recordings(store)["winner"]
    assert store.newest() == recordings(store)["tie"]
    own = add_study(store)
    assert first_study(store) == own.id


def test_a_home_with_a_study_gets_no_recording(home: Path) -> None:
    store = Store(home)
    add_study(store)
    assert open_recordings(store) is None
    assert recorded(store) is None


def test_a_damaged_recording_is_left_out(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(RECORDINGS["winner"].read_bytes()[:20_000])
    monkeypatch.setattr("qcompare.ui.recording.RECORDINGS", {"winner": damaged})
    assert open_recordings(Store(home)) is None
    assert Store(home).newest() is None


@pytest.mark.browser
def test_a_visitor_gets_from_the_first_page_to_the_recorded_results(
    tmp_path: Path, open_page: Callable[[str], Page]
) -> None:
    with serve(tmp_path / "app", recording=True) as address:
        page = open_page(address)
        page.get_by_role("link", name="See a recorded study").click()
        expect(page.locator("#qc-table tbody tr")).to_have_count(14)
        expect(page.locator("#qc-verdict")).to_contain_text("A recording, made by this app on")
        page.get_by_role("tab", name="Generations").click()
        expect(page.locator(".qc-columns article").first).to_be_visible()
        page.close()
