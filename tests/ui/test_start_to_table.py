"""From the click on Start to the filled table, with real jobs on a tiny model."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from qcompare.settings import Settings
from tests.ui.conftest import serve

pytestmark = [pytest.mark.browser, pytest.mark.demo]
STUDY_SECONDS = 400


def test_from_start_to_a_filled_table(
    demo_settings: Settings, tiny_llama: Path, open_page: Callable[[str], Page]
) -> None:
    with serve(demo_settings.home, queue=True) as address:
        page = open_page(address)
        _fill_in(page, tiny_llama)
        page.locator("#qc-go").click()
        expect(page.get_by_role("tab", name="Progress")).to_have_attribute("aria-selected", "true")
        expect(page.locator(".qc-job")).to_have_count(3)
        expect(page.locator(".qc-overview p")).to_have_text("3 of 3 recipes done", timeout=STUDY_SECONDS * 1000)
        page.get_by_role("tab", name="Results").click()
        scores = page.locator(".qc-table .qc-average")
        expect(scores).to_have_count(3)
        expect(scores.nth(0)).to_contain_text("(100%)")
        expect(page.locator(".js-plotly-plot")).to_have_count(7)
        page.get_by_role("tab", name="Generations").click()
        expect(page.locator(".qc-columns article")).to_have_count(3)
        page.close()  # before the app: what a page says of an app that is gone is no error of ours


def _fill_in(page: Page, model: Path) -> None:
    page.get_by_label("Folder").check()
    page.locator("#qc-model").get_by_role("textbox").fill(str(model))
    page.keyboard.press("Enter")
    for recipe in ("Output end high", "Input end high"):
        page.get_by_role("checkbox", name=recipe).uncheck()
    page.get_by_text("Tasks and questions").click()
    for task in ("LAMBADA", "HellaSwag", "WinoGrande"):
        page.get_by_role("checkbox", name=task).uncheck()
    page.get_by_role("spinbutton", name="Questions per task").fill("4")
    page.get_by_role("textbox", name="Prompts").fill("The capital of France is")
    expect(page.locator("#qc-estimate")).to_contain_text("3 recipes × 4 questions")
    expect(page.locator("#qc-go")).to_be_enabled()
