"""The FP8 KV cache of New in a browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from qcompare.settings import Settings
from tests.ui.conftest import serve

pytestmark = [pytest.mark.browser]


def test_one_tick_asks_for_it_in_every_row_that_may_have_one(
    settings: Settings, open_page: Callable[[str], Page]
) -> None:
    with serve(settings.home) as address:
        page = open_page(address)
        page.get_by_text("Study file and command").click()
        expect(page.locator("#qc-file")).to_contain_text("model: demo")
        page.get_by_role("checkbox", name="FP8 KV cache").check()
        expect(page.locator("#qc-file")).to_contain_text("kv_cache: fp8", timeout=60_000)
        page.close()
