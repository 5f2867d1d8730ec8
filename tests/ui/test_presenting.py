"""Presenter mode, the share card, and addresses that Back and Forward walk through."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from qcompare.compare.table import read_comparison
from qcompare.present.share_card import share_card
from qcompare.store import Store
from qcompare.study.spec import Study
from qcompare.words import use_language
from tests.synthetic import add_study, finished_study

Open = Callable[..., Page]


def test_the_card_says_pick_size_share_kept_and_certainty(home: Path) -> None:
    study = finished_study(home, Study(limit=100))
    store = Store(home)
    card = share_card(read_comparison(store, (study.id,)))
    assert "Mixed, 5 bits" in card.claim and "question" in card.certainty
    assert [fact.label for fact in card.facts][1] == "right answers for every 100 of the original"
    assert card.model
    with use_language("zh"):
        assert re.search(r"[\u4e00-\u9fff]", share_card(read_comparison(store, (study.id,))).claim)
    empty = share_card(read_comparison(store, (add_study(store).id,)))
    assert (empty.facts, empty.certainty) == ((), "")


@pytest.mark.browser
@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_the_share_card_is_a_picture_of_its_size(
    app: str, shared_home: Path, open_page: Open, tmp_path: Path, locale: str
) -> None:
    study = finished_study(shared_home, Study(limit=100))
    page = open_page(f"{app}?study={study.id}&tab=results", locale)
    with page.expect_download() as download:
        page.locator("#qc-take-away button").nth(2).click()
    download.value.save_as(tmp_path / "card.png")
    assert download.value.suggested_filename == f"qcompare-{study.id}.png"
    header = (tmp_path / "card.png").read_bytes()[:24]
    assert header[1:4] == b"PNG" and struct.unpack(">II", header[16:]) == (1200, 630)
    page.close()


@pytest.mark.browser
def test_slides_are_walked_by_keys_and_left_by_escape_and_back(app: str, shared_home: Path, open_page: Open) -> None:
    study = finished_study(shared_home, Study(limit=100, prompts=("Hello",)))
    page = open_page(f"{app}?study={study.id}&tab=results")
    expect(page.locator("#qc-table tbody tr")).to_have_count(5)
    page.keyboard.press("p")
    slides = page.frame_locator("#qc-present")
    expect(slides.locator(".qc-now h1")).to_contain_text("Mixed, 5 bits")
    assert slides.locator(".qc-now p").last.evaluate("p => parseFloat(getComputedStyle(p).fontSize)") >= 24
    expect(page).to_have_url(re.compile("present=1"))
    page.keyboard.press("ArrowRight")
    expect(slides.locator(".qc-now table tbody tr")).to_have_count(5)
    page.keyboard.press("ArrowRight")
    expect(slides.locator(".qc-now .main-svg").first).to_be_visible()
    expect(page).to_have_url(re.compile("present=3"))
    page.keyboard.press("End")
    expect(slides.locator(".qc-now article").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#qc-present")).to_have_count(0)
    assert "present" not in page.url and "tab=results" in page.url
    page.get_by_role("button", name="Present").click()
    expect(slides.locator(".qc-now h1")).to_be_visible()
    page.go_back()
    expect(page.locator("#qc-present")).to_have_count(0)
    deep = open_page(f"{app}?study={study.id}&tab=results&present=2")
    expect(deep.frame_locator("#qc-present").locator(".qc-now table")).to_be_visible()
    deep.frame_locator("#qc-present").locator("body").press("Escape")
    expect(deep.locator("#qc-present")).to_have_count(0)
    assert page.request.get(f"{app}slides?study=nothing").status == 404
    page.close()


@pytest.mark.browser
def test_back_and_forward_walk_through_tabs_studies_and_a_single_question(
    app: str, shared_home: Path, open_page: Open
) -> None:
    older, newer = (finished_study(shared_home, name) for name in (Study(limit=100), Study(limit=50)))
    page = open_page(f"{app}?study={older.id}&tab=results")
    page.locator("#qc-table tbody tr").nth(1).locator(".qc-cell").nth(2).click()
    expect(page.locator(".qc-question")).to_have_count(10)
    page.locator(".qc-one").nth(3).click()
    expect(page.locator(".qc-question")).to_have_count(1)
    single, shown = page.url, page.locator(".qc-asked").first.inner_text()
    page.go_back()
    expect(page.locator(".qc-question")).to_have_count(10)
    page.go_back()
    expect(page.locator("#qc-questions")).to_be_hidden()
    page.get_by_role("tab", name="Generations").click()
    page.get_by_role("tab", name="Explorer").click()
    page.go_back()
    expect(page.get_by_role("tab", name="Generations")).to_have_attribute("aria-selected", "true")
    page.go_back()
    expect(page.get_by_role("tab", name="Results")).to_have_attribute("aria-selected", "true")
    page.go_forward()
    expect(page.get_by_role("tab", name="Generations")).to_have_attribute("aria-selected", "true")
    page.locator("#qc-picker input").click()
    page.get_by_role("option").first.click()
    page.wait_for_url(f"**study={newer.id}*")
    page.go_back()
    page.wait_for_url(f"**study={older.id}*")
    expect(page.locator("#qc-picker input")).to_have_value(re.compile(re.escape(older.name[:12])))
    again = open_page(single)
    expect(again.locator(".qc-question")).to_have_count(1)
    expect(again.locator(".qc-asked").first).to_have_text(shown)
    again.get_by_role("button", name="All questions").click()
    expect(again.locator(".qc-question")).to_have_count(10)
    page.close()
