"""axe-core on every tab, light and dark: no serious or critical violation."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.synthetic import finished_study
from tests.ui.conftest import serve

axe = pytest.importorskip("axe_playwright_python", reason="axe-core comes with requirements-dev.txt")
AXE = Path(axe.__file__).with_name("axe.min.js")
pytestmark = pytest.mark.browser
TABS = ["new", "progress", "results", "generations", "history"]


@pytest.fixture(scope="module")
def study_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("axe") / "home"
    study = finished_study(home)
    with serve(home) as address:
        yield f"{address}?study={study.id}"


def violations(page: Page) -> list[str]:
    """Serious and critical ones, one line each."""
    page.add_script_tag(path=AXE)
    found: dict[str, Any] = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['html'][:120]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_violation_on_any_tab(
    study_page: str, open_page: Callable[[str], Page], tab: str, theme: str
) -> None:
    page = open_page(f"{study_page}&tab={tab}&__theme={theme}")
    expect(page.get_by_role("tab", selected=True)).to_be_visible()
    page.wait_for_timeout(1500)
    if tab == "results":
        page.locator(".qc-cell").nth(5).click()
        expect(page.locator(".qc-question").first).to_be_visible()
        expect(page.locator("#qc-plots .main-svg").first).to_be_visible()
        expect(page.get_by_label("Empty value")).to_have_count(0)  # gradio's while it draws
    assert violations(page) == []


def test_the_verdict_and_a_score_are_reached_by_keyboard(study_page: str, open_page: Callable[[str], Page]) -> None:
    page = open_page(f"{study_page}&tab=results")
    expect(page.locator(".qc-cell").first).to_be_visible()
    page.locator("#qc-plain").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("Holm-corrected over 4").first).to_be_visible()
    page.locator(".qc-cell").nth(5).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".qc-question").first).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_violation_in_the_tour_and_on_the_steps(
    study_page: str, open_page: Callable[..., Page], theme: str
) -> None:
    page = open_page(f"{study_page}&tab=new&path=guided&__theme={theme}&lang=zh")
    page.get_by_role("button", name="带我看看").click()
    expect(page.locator(".qc-tour")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_text("模型库", exact=True).click()
    expect(page.locator("#qc-model").get_by_role("textbox")).to_be_visible()
    page.wait_for_timeout(1000)
    assert violations(page) == []
