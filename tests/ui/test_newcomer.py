"""New study for somebody who opens the app for the first time, and what the browser keeps of a choice."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.reading import read_study
from qcompare.ui.guide import STEPS, STOPS
from qcompare.ui.new.estimate import estimate
from qcompare.ui.new.tab import shown
from qcompare.ui.recording import nothing_computed, open_recordings
from tests.synthetic import add_study
from tests.ui.conftest import serve
from tests.ui.test_form import DEFAULT

Open = Callable[[str], Page]


def test_a_machine_with_the_recording_alone_has_computed_nothing(home: Path) -> None:
    store = Store(home)
    assert nothing_computed(store)
    open_recordings(store)
    assert nothing_computed(store)
    add_study(store)
    assert not nothing_computed(store)


def test_every_step_and_stop_is_one_or_two_plain_sentences() -> None:
    for _, sentence in STEPS:
        assert sentence.count(".") <= 2 and len(sentence) < 100
    assert 4 <= len(STOPS) <= 6
    assert all(len(stop.text) < 160 for stop in STOPS)


def test_one_paste_in_a_terminal_writes_the_study_file_that_the_form_asks_for(settings: Settings) -> None:
    found = estimate(DEFAULT, settings)
    command = next(value for value in shown(found) if isinstance(value, str) and "data-copy" in value)
    assert "python -m qcompare run study.yaml" in command
    assert read_study(found.study_file) == DEFAULT.study()
    assert found.study_file.splitlines()[0] in command


@pytest.fixture(scope="module")
def empty_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("newcomer") / "home", recording=True) as address:
        yield address


@pytest.mark.browser
@pytest.mark.newcomer
def test_a_newcomer_goes_step_by_step_and_is_shown_around_when_asked_for(empty_app: str, open_page: Open) -> None:
    page = open_page(empty_app)
    tour, step = page.locator(".qc-tour"), page.locator("#qc-walk")
    expect(step.get_by_role("button", name="Next")).to_be_visible()
    expect(tour).to_be_hidden()
    page.get_by_role("button", name="Show me around").click()
    expect(tour).to_contain_text("1 of 5")
    expect(page.get_by_role("button", name="Next")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(tour).to_be_hidden()
    for title in ("Model", "Compress", "Measure"):
        expect(page.locator("#qc-cards h2:visible")).to_have_text(title)
        expect(page.locator(".qc-steps p:visible")).to_have_count(1)
        if title != "Measure":
            expect(page.locator("#qc-go")).to_be_hidden()
            page.get_by_role("button", name="Next").click()
    expect(page.locator("#qc-go")).to_be_enabled()
    page.get_by_role("button", name="Back").click()
    expect(page.locator("#qc-cards h2:visible")).to_have_text("Compress")
    page.get_by_role("button", name="All on one page").click()
    expect(page.locator("#qc-cards h2:visible")).to_have_count(3)
    page.goto(empty_app)
    expect(page.locator("#qc-go")).to_be_enabled()
    expect(page.locator("#qc-cards h2:visible")).to_have_count(3)
    expect(tour).to_be_hidden()
    page.get_by_role("button", name="Show me around").press("Enter")
    for title in ("What it does", "What it will cost", "While it runs", "The answer", "Read it yourself"):
        expect(tour.locator("h2:visible")).to_have_text(title)
        page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Generations")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(page.locator(".qc-tour-start")).to_be_focused()


@pytest.mark.browser
def test_a_study_file_dropped_on_a_card_fills_the_form_and_the_command_is_copied(
    empty_app: str, open_page: Open
) -> None:
    page = open_page(empty_app)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    expect(page.locator("#qc-go")).to_be_enabled()
    page.evaluate(
        """() => {
          const carried = new DataTransfer();
          carried.items.add(new File(["recipes: [bf16, tail]\\nlimit: 77\\n"], "mine.yaml"));
          const card = document.querySelector("#qc-cards h2");
          for (const kind of ["dragover", "drop"])
            card.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: carried }));
        }"""
    )
    expect(page.locator("#qc-estimate")).to_contain_text("2 recipes × 308 questions")
    expect(page.get_by_role("radio", name="Custom")).to_be_checked()
    page.get_by_role("button", name="Copy command").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    pasted = page.evaluate("navigator.clipboard.readText()")
    assert pasted.startswith("cat > study.yaml <<'STUDY'\n") and "limit: 77" in pasted
    assert pasted.endswith("STUDY\npython -m qcompare run study.yaml\n")
