"""A running app and a real browser."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
START_SECONDS = 180
expect.set_options(timeout=20_000)


@dataclass
class Seen:
    """What a page complained of or asked of others."""

    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


@contextmanager
def serve(home: Path, queue: bool = False, recording: bool = False) -> Iterator[str]:
    """Run `app.py` on a home; gives its address.

    Args:
        queue: let the app run queued jobs; otherwise made-up ones stay as the test made them.
        recording: put the recorded study into an empty home.
    """
    home.mkdir(parents=True, exist_ok=True)
    with nullcontext() if queue else FileLock(home / "supervisor.lock"), _app(home, recording) as address:
        yield address


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an app that all tests of a file look at."""
    return tmp_path_factory.mktemp("app") / "home"


@pytest.fixture(scope="module")
def app(shared_home: Path) -> Iterator[str]:
    """Its address. A file may have an app of its own."""
    with serve(shared_home) as address:
        yield address


@contextmanager
def _app(home: Path, recording: bool, port: int = 0) -> Iterator[str]:
    if not port:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    environment = os.environ | {
        "QCOMPARE_HOME": str(home),
        "QCOMPARE_PORT": str(port),
        "QCOMPARE_OFFLINE": "true",
        "QCOMPARE_BROWSER": "false",
        "QCOMPARE_RECORDING": str(recording),
    }
    log = home / "app.log"
    with log.open("w") as out:
        app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        address = f"http://127.0.0.1:{port}/"
        _wait_for(address, app, log)
        yield address
    finally:
        app.terminate()
        app.wait(20)


def _wait_for(address: str, app: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=20):
                return
        except urllib.error.HTTPError:
            return  # it wants a login
        except OSError:
            assert app.poll() is None, log.read_text()
            time.sleep(0.1)
    raise TimeoutError(log.read_text())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of a file: Playwright's event loop must be gone before others call `asyncio.run`."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def seen() -> Seen:
    """Complaints of the pages of this test."""
    return Seen()


BEEN_HERE = 'if (location.protocol === "http:") localStorage.setItem("qcompare.path", "page");'
"""What a browser keeps of somebody who has New all on one page."""


@pytest.fixture
def open_page(browser: Browser, seen: Seen, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Open an address in a fresh browser profile; fails the test if the page logged an error.

    A test marked `newcomer` opens it for the first time; others as somebody who knows the app.
    """
    contexts: dict[str, BrowserContext] = {}
    newcomer = request.node.get_closest_marker("newcomer")

    def open_(address: str, locale: str = "en-US") -> Page:
        if locale not in contexts:
            contexts[locale] = browser.new_context(viewport={"width": 1440, "height": 900}, locale=locale)
            if not newcomer:
                contexts[locale].add_init_script(BEEN_HERE)
        page = contexts[locale].new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: _note_error(message, seen))
        page.on("pageerror", lambda error: None if _given_up(error) else seen.errors.append(str(error)))
        page.on("request", lambda request: _note_outside(request.url, seen))
        page.goto(address)
        page.wait_for_selector("#qc-header")
        return page

    yield open_
    for context in contexts.values():
        context.close()
    assert seen.errors == []
    assert seen.outside == []


def _note_error(message: ConsoleMessage, seen: Seen) -> None:
    if message.type == "error" and not _given_up(message.text):
        seen.errors.append(f"{message.text} {message.location}")


def _given_up(error: object) -> bool:
    """Gradio's own page says so when it drops a request it no longer needs, as on the way to another page."""
    return str(error).startswith(("AbortError", "Unexpected error Connection errored out."))


def _note_outside(url: str, seen: Seen) -> None:
    if not url.startswith(("http://127.0.0.1", "data:", "blob:", "file:")):
        seen.outside.append(url)
