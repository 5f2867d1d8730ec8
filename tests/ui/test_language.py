"""The screen speaks the visitor's language: every widget, every tab, every explanation; figures are the same."""

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from qcompare.study.spec import Study
from tests.synthetic import finished_study
from tests.ui.conftest import serve

Open = Callable[..., Page]
TABS = {"new": "新建", "progress": "进度", "results": "结果", "generations": "生成对比", "history": "历史"}
CHINESE = re.compile(r"[\u4e00-\u9fff]")
WORD = re.compile(r"[A-Za-z]{4,}")
NAMES = {"study.yaml", "Markdown", "LaTeX", "JSON", "Parquet", "BF16", "/path/to/a/model", "org/name", "qcompare ◐ ?"}
"""What is called the same in every language."""


def said(component: dict[str, Any]) -> Iterator[str]:
    """What a visitor reads of a widget."""
    props = component["props"]
    yield from (props[name] for name in ("label", "info", "placeholder") if isinstance(props.get(name), str))
    yield from (str(choice[0]) for choice in props.get("choices") or ())
    if component["type"] in ("button", "uploadbutton", "html"):
        yield re.sub(r"<[^>]*>", " ", str(props.get("value") or ""))


def widgets(app: str, language: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{app}config?lang={language}") as answer:
        found: list[dict[str, Any]] = json.load(answer)["components"]
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("app") / "home"


@pytest.fixture(scope="module")
def app(home: Path) -> Iterator[str]:
    with serve(home) as address:
        yield address


def test_every_widget_is_served_in_every_language_with_the_same_number(app: str) -> None:
    english, chinese = widgets(app, "en"), widgets(app, "zh")
    assert [(each["id"], each["type"]) for each in chinese] == [(each["id"], each["type"]) for each in english]
    texts = [" ".join(text.split()) for component in chinese for text in said(component)]
    assert [text for text in texts if WORD.search(text) and not CHINESE.search(text) and text not in NAMES] == []


@pytest.mark.browser
def test_a_chinese_browser_sees_chinese_on_every_tab(app: str, home: Path, open_page: Open) -> None:
    study = finished_study(home, Study(limit=100))
    for tab, name in TABS.items():
        page = open_page(f"{app}?study={study.id}&tab={tab}", "zh-CN")
        expect(page.get_by_role("tab", selected=True)).to_have_text(name)
        panel = page.locator("[role=tabpanel]:visible").first
        expect(panel).to_contain_text(CHINESE)
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        page.close()


@pytest.mark.browser
def test_the_figures_are_the_same_in_both_languages(app: str, home: Path, open_page: Open) -> None:
    study = finished_study(home, Study(limit=100))
    figures = []
    for locale, claim in (("en-US", "5 bits"), ("zh-CN", "5")):
        page = open_page(f"{app}?study={study.id}&tab=results", locale)
        expect(page.locator("#qc-verdict h2:visible")).to_contain_text(claim)
        cells = page.locator("#qc-table tbody td").all_inner_texts()
        figures.append([re.findall(r"[\d.]+", cell) for cell in cells])
    assert figures[0] == figures[1]


@pytest.mark.browser
def test_the_address_overrules_the_browser_and_links_keep_it(app: str, home: Path, open_page: Open) -> None:
    finished_study(home)
    page = open_page(f"{app}?lang=en&tab=history", "zh-CN")
    expect(page.get_by_role("tab", selected=True)).to_have_text("History")
    assert page.evaluate("document.documentElement.lang") == "en"
    page.locator(".qc-history [data-study]").first.click()
    page.get_by_role("link", name="Show results").click()
    expect(page.get_by_role("tab", selected=True)).to_have_text("Results")


@pytest.mark.browser
def test_a_term_is_explained_on_hover_on_focus_and_on_a_phone(app: str, home: Path, open_page: Open) -> None:
    study = finished_study(home, Study(limit=100))
    page = open_page(f"{app}?study={study.id}&tab=results")
    tip = page.get_by_role("tooltip")
    page.locator("thead .qc-term", has_text="KL").hover()
    expect(tip).to_contain_text("held-out text")
    # what is drawn meanwhile moves the page a little, or is the table itself: the pointer is still on the term
    page.mouse.wheel(0, 2)
    page.wait_for_timeout(500)
    expect(tip).to_be_visible()
    page.locator("#qc-table table:visible").first.evaluate("table => (table.outerHTML = table.outerHTML)")
    expect(page.locator("#qc-table [aria-describedby=qc-tip]")).to_be_visible()
    page.wait_for_timeout(500)
    expect(tip).to_be_visible()
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#qc-verdict .qc-term:visible").last.focus()
    expect(tip).to_be_visible()
    box = tip.bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390
