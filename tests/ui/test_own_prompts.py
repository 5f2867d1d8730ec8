"""Two visitors of an exhibition in Chromium: each sees the answers to own prompts, and none of the other's."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from qcompare.store import Store
from qcompare.study.spec import Study
from qcompare.ui.server.identity import visitor_key
from tests.synthetic import finish_job, finished_study
from tests.ui.conftest import serve

SECRET = "What only Ann wants to know?"


def opened(context: BrowserContext, address: str, tab: str) -> Page:
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{address}?tab={tab}")
    page.wait_for_selector("#qc-header")
    return page


@pytest.mark.browser
def test_a_prompt_is_on_its_visitor_s_screen_alone(
    home: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = finished_study(home, Study(recipes=("bf16", "uniform"), prompts=("What is the capital of France?",)))
    monkeypatch.setenv("QCOMPARE_ROLE", "exhibition")
    with serve(home) as address:
        ann, ben = (browser.new_context(locale="en-US") for _ in range(2))
        pages = [opened(each, address, "generations") for each in (ann, ben)]
        for page in pages:
            expect(page.locator("#qc-generations")).to_contain_text("capital of France", timeout=60_000)
        cookie = next(each["value"] for each in ann.cookies() if each["name"] == "qcompare-visitor")
        store = Store(home)
        asked = store.add_study(
            Study(recipes=("bf16", "uniform"), prompts=(SECRET,), tasks=(), divergence=None), f"Prompt: {SECRET}",
            [("bf16", None), ("uniform", None)], asked_of=public.id, owner=visitor_key(cookie),
        )  # fmt: skip
        for job in store.jobs(asked.id):
            finish_job(store, asked, job.id)
        expect(pages[0].locator("#qc-generations")).to_contain_text(SECRET, timeout=60_000)
        pages[1].reload()
        expect(pages[1].locator("#qc-generations")).to_contain_text("capital of France", timeout=60_000)
        for tab in ("generations", "progress", "history", "results"):
            page = opened(ben, address, tab)
            page.wait_for_timeout(2500)  # longer than its clocks take
            assert SECRET not in page.content() and asked.id not in page.content(), tab
        lost = ben.new_page()
        lost.goto(f"{address}?study={asked.id}&tab=generations")
        lost.wait_for_timeout(2500)
        assert SECRET not in lost.content()
        ann.close()
        ben.close()
