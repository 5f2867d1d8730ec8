"""Columns of the results table in a browser: sorted, hidden, pinned, and kept study by study."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from qcompare.store import Store
from qcompare.study.spec import Study
from tests.synthetic import add_study, finish_job, finished_study

Open = Callable[..., Page]


def names(page: Page) -> list[str]:
    """Titles of the columns that are seen, from left to right."""
    heads = "all => all.filter(each => !each.hidden).map(each => each.dataset.title)"
    found: list[str] = page.locator("#qc-table thead th").evaluate_all(heads)
    return found


def rows(page: Page) -> list[str]:
    found: list[str] = page.locator("#qc-table tbody th").evaluate_all("all => all.map(each => each.dataset.sort)")
    return found


def line(page: Page, column: str) -> Locator:
    return page.locator(".qc-column-menu li", has=page.get_by_role("checkbox", name=column, exact=True))


def test_columns_are_sorted_hidden_and_pinned_by_keyboard_and_kept_for_their_study(
    app: str, shared_home: Path, open_page: Open
) -> None:
    store = Store(shared_home)
    study = add_study(store, Study(limit=100))
    *first, last = store.jobs(study.id)
    for job in first:
        finish_job(store, study, job.id)
    page = open_page(f"{app}?study={study.id}&tab=results")
    expect(page.locator("#qc-table tbody tr")).to_have_count(5)
    in_order = rows(page)
    sort = page.get_by_role("button", name="Sort by Average")
    sort.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#qc-table th[aria-sort]")).to_have_attribute("aria-sort", "descending")
    assert rows(page) == ["BF16", "Input end high", "Output end high", "Uniform", "Mixed"]  # Mixed has none yet
    assert sort.evaluate("each => each === document.activeElement")
    page.get_by_text("Columns", exact=True).click()
    line(page, "Size").get_by_role("checkbox").uncheck()
    line(page, "KL").get_by_role("button", name="Pin").click()
    assert names(page)[:3] == ["Recipe", "KL", "Bits"] and "Size" not in names(page)
    cells = "row => [...row.cells].filter(cell => !cell.hidden).length"
    assert page.locator("#qc-table tbody tr").first.evaluate(cells) == len(names(page))
    finish_job(store, study, last.id)  # the table is drawn anew
    expect(page.locator("#qc-table .qc-text")).to_have_count(0)
    assert rows(page)[:2] == ["BF16", "Mixed"] and names(page)[:2] == ["Recipe", "KL"]
    page.reload()
    expect(page.locator("#qc-table th[aria-sort]")).to_have_count(1)
    assert rows(page)[:2] == ["BF16", "Mixed"] and "Size" not in names(page)
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("button", name="All columns, in the order of the study").click()
    assert rows(page) == in_order and names(page)[:3] == ["Recipe", "Bits", "Size"]
    line(page, "Size").get_by_role("checkbox").uncheck()
    other = finished_study(shared_home)
    page.goto(f"{app}?study={other.id}&tab=results")
    expect(page.locator("#qc-table tbody tr")).to_have_count(5)
    assert "Size" in names(page)


def test_a_click_on_a_score_still_opens_its_questions_in_a_sorted_table(
    app: str, shared_home: Path, open_page: Open
) -> None:
    study = finished_study(shared_home)
    page = open_page(f"{app}?study={study.id}&tab=results")
    page.get_by_role("button", name="Sort by PIQA").click()
    page.locator("#qc-table tbody tr", has_text="Uniform").locator(".qc-cell").nth(2).click()
    expect(page.locator("#qc-questions h3").first).to_have_text("PIQA, Uniform: the questions")
    page.get_by_label("Only where recipes disagree").check()
    expect(page.locator(".qc-question").first).to_be_visible()
