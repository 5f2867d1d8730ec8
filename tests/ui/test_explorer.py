"""The budget slider: everything follows it in the page itself, and a budget that is asked for becomes a study."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from qcompare.store import Store
from qcompare.study.spec import Study
from tests.synthetic import finished_study
from tests.ui.conftest import serve

pytestmark = pytest.mark.browser
Open = Callable[[str], Page]
MOVE = """([value]) => {
  const slider = document.querySelector("#qc-explorer input"), started = performance.now();
  slider.value = value;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  return performance.now() - started;
}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("explorer") / "home"


@pytest.fixture(scope="module")
def app(home: Path) -> Iterator[str]:
    study = finished_study(home)
    with serve(home) as address:
        yield f"{address}?tab=explorer&study={study.id}"


def test_the_slider_moves_map_size_and_prediction_without_the_server(app: str, open_page: Open) -> None:
    page = open_page(app)
    said, cells = page.locator("#qc-explorer output"), page.locator("#qc-explorer .qc-map rect")
    expect(said).to_contain_text("5.00 bits · 126 MB · 53 % smaller · fits 8 GB")
    expect(cells).to_have_count(210)
    expect(page.locator(".qc-at-budget tbody tr")).to_have_count(3)
    expect(page.locator(".qc-measured tbody tr")).to_have_count(4)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "explorer" in (request.post_data or "") else None)
    page.wait_for_timeout(1000)
    for _ in range(20):
        if not asked:
            break
        asked.clear()  # the page is still being drawn
        page.wait_for_timeout(1000)
    high = "#qc-explorer .qc-map rect[fill='#009E73']"
    assert min(page.evaluate(MOVE, [value]) for value in (80, 0, 40)) < 200
    expect(said).to_contain_text("6.00 bits")
    before = page.locator(high).count()
    page.evaluate(MOVE, [80])
    expect(said).to_contain_text("8.00 bits")
    assert before < page.locator(high).count() == 210
    page.evaluate(MOVE, [0])
    expect(page.locator(high)).to_have_count(0)
    assert asked == []


def test_a_chosen_budget_is_measured_beside_the_study(app: str, home: Path, open_page: Open) -> None:
    page = open_page(app)
    expect(page.locator("#qc-explorer output")).to_contain_text("5.00 bits")
    page.evaluate(MOVE, [25])
    expect(page.locator("#qc-explorer output")).to_contain_text("5.25 bits")
    page.get_by_role("button", name="Evaluate this budget").click()
    page.wait_for_url("**/*study=*%2C*")
    store = Store(home)
    newest = store.studies()[0]
    assert newest.spec.avg_bits == (5.25,)
    assert newest.spec.recipes == tuple(recipe for recipe in Study().recipes if recipe.name != "uniform")


def test_the_slider_works_by_keyboard_and_has_a_name(app: str, open_page: Open) -> None:
    page = open_page(app)
    slider = page.get_by_role("slider", name="Budget, average bits")
    expect(page.locator("#qc-explorer output")).to_contain_text("5.00 bits")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#qc-explorer output")).to_contain_text("5.05 bits")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^5\.05 bits, 12\d MB, 5\d % smaller, fits 8 GB$"))
