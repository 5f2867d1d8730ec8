"""A team's server in Chromium: the login page, what a reader sees, logging out."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from qcompare.study.spec import Study
from qcompare.ui.server.roles import Right
from qcompare.ui.server.users import write_user
from tests.synthetic import finished_study
from tests.ui.conftest import serve

PASSWORD = "correct horse battery"


@pytest.mark.browser
def test_logging_in_reading_and_logging_out(home: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    finished_study(home, Study(recipes=("bf16", "uniform", "mixed")))
    write_user(home / "users.yaml", "carol", PASSWORD, [])
    write_user(home / "users.yaml", "alice", PASSWORD, Right)
    monkeypatch.setenv("QCOMPARE_ROLE", "team")
    with serve(home) as address:
        page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-US")
        page.set_default_timeout(30_000)
        errors: list[str] = []
        page.goto(address)
        expect(page).to_have_url(f"{address}login")
        page.get_by_label("Name").fill("carol")
        page.get_by_label("Password").fill("wrong password")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        for name, writes in (("carol", False), ("alice", True)):
            page.get_by_label("Name").fill(name)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            page.wait_for_selector("#qc-header")
            expect(page.locator(".qc-who")).to_contain_text(name)
            page.goto(f"{address}?tab=history")
            expect(page.locator("#qc-history")).to_contain_text("SmolLM2")
            expect(page.get_by_role("button", name="Import study")).to_be_visible(visible=writes)
            assert (page.get_by_role("tab", name="New").count() == 1) is writes
            page.goto(f"{address}?tab=results")
            expect(page.locator("#qc-table table").first).to_be_visible()
            expect(page.locator("#qc-export")).to_be_visible(visible=writes)
            page.get_by_role("button", name="Log out").click()
            expect(page).to_have_url(f"{address}login")
        page.close()
    given_up = ("AbortError", "Response")  # what gradio's page says of calls that logging out refuses
    assert [text for text in errors if "401" not in text and not text.startswith(given_up)] == []
