"""Compare with: checkpoints that are typed or dropped become rows of the plan and of the study."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from qcompare.settings import Settings
from qcompare.store import Store
from tests.tiny import write_gguf
from tests.ui.conftest import serve

pytestmark = [pytest.mark.browser]


def test_a_folder_and_a_gguf_file_become_rows(
    settings: Settings, tiny_llama: Path, tmp_path: Path, open_page: Callable[[str], Page]
) -> None:
    file = write_gguf(tmp_path / "tiny-Q4_0.gguf", tiny_llama, "Q4_0")
    with serve(settings.home) as address:
        page = open_page(address)
        page.get_by_label("Folder").check()
        page.locator("#qc-model").get_by_role("textbox").fill(str(tiny_llama))
        page.keyboard.press("Enter")
        page.get_by_text("Compare with").click()
        page.locator("#qc-compare").get_by_role("textbox").fill(str(tiny_llama))
        page.keyboard.press("Enter")
        expect(page.locator("#qc-compared").get_by_role("checkbox")).to_have_count(1)
        expect(page.locator("#qc-estimate")).to_contain_text("6 recipes × 400 questions")
        page.locator("#qc-gguf input").set_input_files(file)
        expect(page.get_by_role("checkbox", name="tiny-Q4_0")).to_be_checked()
        expect(page.locator("#qc-estimate")).to_contain_text("7 recipes × 400 questions")
        page.locator("#qc-go").click()
        expect(page.locator(".qc-job")).to_have_count(7)
        page.close()
    store = Store(settings.home)
    recipes = store.study(store.newest() or "").spec.recipes
    assert [recipe.title for recipe in recipes if recipe.name == "checkpoint"] == [tiny_llama.name, "tiny-Q4_0"]
