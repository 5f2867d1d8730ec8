"""What a Hugging Face Space reads, and the app as it starts there."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock
from playwright.sync_api import Browser, expect

from tests.ui.conftest import _app

ROOT = Path(__file__).parents[2]


def front_matter() -> dict[str, Any]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text.split("---\n")[1]))


def test_the_front_matter_says_what_a_space_needs() -> None:
    found = front_matter()
    pin = re.search(r"^gradio==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pin and found["sdk"] == "gradio" and str(found["sdk_version"]) == pin[1]
    assert found["python_version"] == "3.11" and (ROOT / found["app_file"]).is_file()
    assert len(found["short_description"]) <= 60
    assert found["hf_oauth"] is True and found["hf_oauth_scopes"]
    assert {"title", "emoji", "colorFrom", "colorTo", "suggested_hardware"} <= set(found)
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {found["colorFrom"], found["colorTo"]} <= colours


@pytest.mark.browser
def test_a_space_opens_on_recorded_results_and_lets_nobody_change_them(
    tmp_path: Path,
    browser: Browser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "SPACE_ID": "org/qcompare", "SPACE_HOST": "org-qcompare.hf.space", "SYSTEM": "spaces",
        "QCOMPARE_RESULTS_DIR": str(tmp_path / "mounted"), "GRADIO_SERVER_NAME": "0.0.0.0",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    home = tmp_path / "home"
    home.mkdir()
    errors: list[str] = []
    outside: list[str] = []
    began = time.monotonic()
    with FileLock(home / "supervisor.lock"), _app(home, recording=True) as address:
        started = time.monotonic() - began
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(30_000)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: None if address[:-1] in request.url else outside.append(request.url))
        page.goto(address)
        table = page.locator("#qc-table table").first
        expect(table).to_be_visible(timeout=60_000)
        assert page.get_by_role("tab", name="New").count() == 0
        page.get_by_role("tab", name="Generations").click()
        expect(page.locator("#qc-generations")).to_contain_text("Paris")
        page.get_by_role("tab", name="History").click()
        expect(page.locator("#qc-history")).to_contain_text("Recorded: every recipe at equal bits")
        for words in ("Delete…", "Look for leftovers", "Import study", "Save", "Copy settings to New"):
            assert page.get_by_role("button", name=words).filter(visible=True).count() == 0, words
        page.get_by_role("tab", name="Explorer").click()
        expect(page.locator(".qc-curve")).to_be_visible()
        assert page.get_by_role("button", name="Evaluate this budget").filter(visible=True).count() == 0
        page.close()
        end = time.monotonic() + 60
        while not (kept := list((tmp_path / "mounted").glob("*.qcompare.zip"))) and time.monotonic() < end:
            time.sleep(0.5)
    assert started < 60
    assert [path for path in outside if not path.startswith(("data:", "blob:"))] == []
    assert [text for text in errors if not text.startswith("AbortError")] == []
    assert kept
