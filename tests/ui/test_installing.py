"""Installing the app from Chromium, and opening what was installed while no server runs."""

import json
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, expect

from tests.ui.conftest import BEEN_HERE, _app


@pytest.mark.browser
def test_chromium_can_install_it_and_it_waits_for_its_server(home: Path, browser: Browser) -> None:
    home.mkdir()
    errors: list[str] = []
    context = browser.new_context(locale="en-US")
    context.add_init_script(BEEN_HERE)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    with FileLock(home / "supervisor.lock"), _app(home, recording=False) as address:
        page.goto(address)
        page.wait_for_selector("#qc-header")
        devtools = context.new_cdp_session(page)
        manifest = devtools.send("Page.getAppManifest")
        assert manifest["url"] == f"{address}manifest.json" and manifest["errors"] == []
        assert json.loads(manifest["data"])["name"] == "qcompare"
        found = devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]
        # a context of Playwright's is a private window, which installs nothing
        assert [error["errorId"] for error in found if error["errorId"] != "in-incognito"] == []
        for selector in ('meta[name="theme-color"]', 'link[rel="apple-touch-icon"]'):
            assert page.locator(f"head > {selector}").count() >= 1, selector
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        page.reload()
        page.wait_for_selector("#qc-header")
        assert page.evaluate("Boolean(navigator.serviceWorker.controller)")
        assert [text for text in errors if not text.startswith("AbortError")] == []
    page.goto(address)
    expect(page.get_by_role("heading")).to_have_text("qcompare is not running")
    expect(page.locator("main")).to_contain_text(address.rstrip("/"))
    port = address.rstrip("/").rpartition(":")[2]
    with FileLock(home / "supervisor.lock"), _app(home, recording=False, port=int(port)):
        page.wait_for_selector("#qc-header")
        assert page.url.startswith(address)
        page.close()
    context.close()
