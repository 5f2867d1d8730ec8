"""New study: any task of lm-eval by typing, and one's own questions by dropping a file."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from qcompare.evaluate.tasks.find import search
from qcompare.evaluate.tasks.index import _index, lm_eval_index
from qcompare.settings import Settings
from qcompare.study.spec import Study
from qcompare.study.task import TASKS
from qcompare.ui.new.fill import NAMES, fill
from qcompare.ui.new.task_picker import _list, previews, task_choices
from tests.ui.conftest import serve

GOOD = "question,A,B,answer\nIs <b>it</b>?,yes,no,B\n"


def test_names_that_begin_with_the_text_come_first() -> None:
    lm_eval_index()
    names = [name for name, _ in search("arc eas")]
    assert names[0] == "arc_easy"
    assert all("arc" in name and "eas" in name for name in names)
    assert search("") == search("no such task anywhere") == []


def test_a_search_does_not_wait_for_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    _index.cache_clear()
    monkeypatch.setattr("qcompare.evaluate.tasks.index.read_index", lambda root: pytest.fail("it was read"))
    ((name, entry),) = search("wino")
    assert (name, entry.dataset) == ("winogrande", "allenai/winogrande:winogrande_xl")
    assert "appear here" in _list("arc")
    assert "No task" not in _list("nothing like this")
    assert _list("") == ""


def test_a_stored_study_with_other_tasks_comes_back_into_the_form(settings: Settings) -> None:
    update = fill(Study(tasks=("piqa", "wikitext")), settings)[NAMES.index("tasks")]
    assert update["value"] == ["piqa", "wikitext"]
    assert ("wikitext\nA task of lm-eval.", "wikitext") in update["choices"]
    assert [name for _, name in task_choices([])] == [*TASKS]


def test_a_file_is_shown_as_the_model_sees_it_and_escaped(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "q.csv").write_text(GOOD)
    html = previews(["piqa", str(tmp_path / "q.csv"), str(tmp_path / "gone.csv")], settings)
    assert "Is &lt;b&gt;it&lt;/b&gt;?\nA. yes\nB. no\nAnswer:<mark> B</mark>" in html
    assert "1 question" in html


@pytest.mark.browser
def test_a_task_is_found_by_typing_and_a_file_by_dropping_it(
    tmp_path: Path, open_page: Callable[[str], Page]
) -> None:
    (tmp_path / "mine.csv").write_text(GOOD)
    (tmp_path / "wrong.csv").write_text(GOOD + "x,yes,no,C\n")
    with serve(tmp_path / "home") as address:
        page = open_page(f"{address}?tab=new")
        page.get_by_text("Tasks and questions").click()
        page.locator("#qc-found-tasks").wait_for(state="attached")
        field = page.locator("#qc-task").get_by_role("textbox")
        field.press_sequentially("wino", delay=100)
        page.locator("#qc-found-tasks [data-pick=winogrande]").wait_for(timeout=5_000)  # before all names are read
        field.fill("")
        field.press_sequentially("wikitex", delay=100)
        page.locator("#qc-found-tasks [data-pick=wikitext]").click(timeout=60_000)
        expect(page.get_by_role("checkbox", name="wikitext")).to_be_checked()
        expect(page.locator("#qc-estimate")).to_contain_text("the data of wikitext")
        page.get_by_role("checkbox", name="wikitext").uncheck()
        page.locator("#qc-questions-file input").set_input_files(tmp_path / "wrong.csv")
        expect(page.locator("#qc-questions-preview")).to_contain_text("wrong.csv, line 3: the answer 'C'")
        page.locator("#qc-questions-file input").set_input_files(tmp_path / "mine.csv")
        expect(page.get_by_role("checkbox", name="mine.csv")).to_be_checked()
        expect(page.locator(".qc-preview pre")).to_have_text("Is <b>it</b>?\nA. yes\nB. no\nAnswer: B")
        expect(page.locator("#qc-go")).to_be_enabled()
        page.close()
