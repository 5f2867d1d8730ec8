"""A published site, in Chromium: opened as files, and from a plain file server."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from qcompare.errors import InvalidStudy, NotFound
from qcompare.store import Store
from qcompare.store.packing import unpack
from qcompare.study.spec import Study
from qcompare.ui.publish import publish
from qcompare.ui.recording import RECORDINGS
from tests.synthetic import add_study, finished_study

MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The site of the recorded study, and its id."""
    folder = tmp_path_factory.mktemp("published")
    store = Store(folder / "home")
    study = unpack(store, RECORDINGS["winner"])
    return publish(store, [study[:14]], folder / "site").parent, study


@pytest.fixture(scope="module")
def server(site: tuple[Path, str]) -> Iterator[str]:
    """A plain file server."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *values: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site[0]))) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}/index.html"
        found.shutdown()
        thread.join()


def test_the_demo_s_site_is_small(site: tuple[Path, str]) -> None:
    assert sum(path.stat().st_size for path in site[0].rglob("*") if path.is_file()) <= MOST_BYTES


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["files", "server"])
def test_all_pages_work_without_our_server(site: tuple[Path, str], server: str, kind: str, browser: Browser) -> None:
    address = f"file://{site[0]}/index.html" if kind == "files" else server
    outside: list[str] = []
    errors: list[str] = []
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
    page: Page = context.new_page()
    page.on("request", lambda request: None if request.url.startswith((address[:20], "data:", "blob:")) else
            outside.append(request.url))  # fmt: skip
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    expect(page.locator("#qc-results .qc-table").first).to_contain_text("Uniform")
    seen = page.evaluate(
        "performance.getEntriesByType('paint').find((e) => e.name === 'first-contentful-paint').startTime"
    )
    print(f"first view from {kind}: {seen:.0f} ms")
    expect(page.locator(".qc-plot .main-svg").first).to_be_visible()
    assert page.locator(".qc-plot").count() == 7  # the last is the map of layers
    page.locator("#qc-site-tabs").get_by_role("button", name="Generations").click()
    expect(page.locator("#qc-generations article").first).to_be_visible()
    expect(page.locator("#qc-results")).to_be_hidden()
    page.get_by_role("button", name="Blind vote").first.click()
    expect(page.locator("#qc-generations .qc-answers")).to_have_attribute("data-blind", "on")
    page.locator("#qc-site-tabs").get_by_role("button", name="Explorer").click()
    before = page.locator(".qc-at-budget tbody").inner_text()
    slider = page.locator("#qc-explorer input[type=range]")
    expect(page.locator(".qc-map rect").first).to_be_visible()
    slider.focus()
    for _ in range(5):
        slider.press("ArrowLeft")
    expect(page.locator(".qc-at-budget tbody")).not_to_have_text(before)
    page.locator("#qc-site-languages").get_by_role("button", name="中文").click()
    expect(page.locator("#qc-explorer .qc-lead")).to_contain_text("滑块")
    assert "lang=zh" in page.url and "tab=explorer" in page.url and site[1] in page.url
    link = f"{address}?study={site[1]}&tab=generations&lang=zh"
    page.goto(link)
    expect(page.locator("#qc-generations article").first).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    page.goto(f"{address}?study=nothing&tab=<x>&lang=xx")
    expect(page.locator("#qc-results .qc-table").first).to_contain_text("Uniform")
    context.close()
    assert outside == [] and errors == []


def test_hostile_names_are_inert(home: Path, tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    study = finished_study(home, Study(recipes=("bf16", "uniform"), prompts=(evil,)))
    store = Store(home)
    store.note(study.id, name=evil)
    page = publish(store, [study.id], tmp_path / "site")
    assert "<script>alert" not in page.read_text() and "<img src=x" not in page.read_text()


def test_only_sites_are_replaced(home: Path, tmp_path: Path) -> None:
    study, store, out = finished_study(home, Study(recipes=("bf16", "uniform"))), Store(home), tmp_path / "site"
    publish(store, [study.id], out)
    (out / "data" / "old.js").write_text("")
    publish(store, [study.id], out)
    assert not (out / "data" / "old.js").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidStudy, match="holds something else"):
        publish(store, [study.id], tmp_path / "mine")
    with pytest.raises(NotFound):
        publish(store, ["nothing"], tmp_path / "other")
    with pytest.raises(InvalidStudy, match="no result yet"):
        publish(store, [add_study(store).id], tmp_path / "other")
