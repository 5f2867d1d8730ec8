"""The report of the recorded study: small, whole at any width and on paper, without a network."""

import gzip
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from plotly.offline import get_plotlyjs_version

from qcompare.compare.selection import read_selection
from qcompare.compare.table import read_comparison
from qcompare.present.figures import figures
from qcompare.present.packed import PLOTLY, TRACES
from qcompare.present.report import report
from qcompare.store import Store
from qcompare.store.packing import unpack
from qcompare.ui.recording import RECORDINGS

MOST_BYTES = 2_000_000
PAPER = 703
"""CSS pixels of an A4 page between margins of 12 mm."""
CUT = """() => [...document.querySelectorAll('.qc-headline, .qc-scores .qc-scroll, .qc-columns, .qc-plot')]
  .filter((box) => box.scrollWidth > box.clientWidth + 1).map((box) => box.className)"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("report") / "home")
    unpack(store, RECORDINGS["winner"])
    return store


@pytest.fixture(scope="module")
def saved(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("saved") / "report.html"
    file.write_text(report(store, (store.newest() or "",)), encoding="utf-8")
    return file


def test_the_report_of_the_demo_is_small(saved: Path) -> None:
    assert saved.stat().st_size <= MOST_BYTES


def test_the_part_of_plotly_is_of_our_plotly_and_enough_for_our_figures(store: Store) -> None:
    script = gzip.decompress(PLOTLY.read_bytes()).decode()
    assert f"v{get_plotlyjs_version()}\n" in script[:200], "run scripts/plotly.sh"
    ids = (store.newest() or "",)
    drawn = figures(store, read_comparison(store, ids), read_selection(store, ids))
    assert {trace["type"] for figure in drawn for trace in figure.plot["data"]} <= TRACES


@pytest.mark.browser
def test_nothing_is_cut_at_any_width_or_on_paper(saved: Path, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1920, "height": 900})
    outside: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else
            outside.append(request.url))  # fmt: skip
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(saved.as_uri())
    expect(page.locator(".qc-plot .main-svg").first).to_be_visible()
    for width in (1920, 1440, 1280, 1101, 1024, 768, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.wait_for_function(f"() => ({CUT})().length === 0")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER, "height": 1000})
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(CUT) == []
    page.close()
    assert outside == [] and errors == []


@pytest.mark.browser
def test_a_browser_that_cannot_unpack_says_so_beside_the_words(saved: Path, browser: Browser) -> None:
    page = browser.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(saved.as_uri())
    expect(page.locator(".qc-plot").first).to_contain_text("too old to draw the figure")
    expect(page.locator(".qc-describe").first).to_contain_text("Average accuracy")
    expect(page.locator(".qc-scores table")).to_contain_text("Uniform")
    page.close()
