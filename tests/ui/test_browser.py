"""The screen in real Chromium, on records made up by the tests. Every test also checks: no error in the browser's
console, and no request to another machine (see `open_page`)."""

import gzip
import re
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Page, Route, expect

from qcompare.present.packed import PLOTLY
from qcompare.store import Store
from qcompare.store.packing import pack
from qcompare.study.records import Status
from qcompare.study.spec import Study
from qcompare.ui.parts import OPENING
from tests.jobs.conftest import until
from tests.synthetic import add_study, fail_job, finish_job, finished_study, run_job

pytestmark = pytest.mark.browser
Open = Callable[[str], Page]
NASTY = "<script>document.title='taken'</script> <b>bold</b> {{constructor}} ${1+1} \u202eright to left 🦆"


def test_first_open_is_ready_to_start_the_demo(app: str, open_page: Open) -> None:
    page = open_page(app)
    expect(page.locator("#qc-estimate")).to_contain_text("5 recipes × 400 questions")
    expect(page.locator("#qc-go")).to_be_enabled()
    expect(page.locator("#qc-facts")).to_contain_text("SmolLM2-135M-Instruct")


def test_without_a_study_each_tab_says_the_next_step(app: str, open_page: Open) -> None:
    page = open_page(app)
    for tab in ("Progress", "Results", "Generations", "Explorer", "History"):
        page.get_by_role("tab", name=tab).click()
        expect(page.locator(".qc-empty:visible")).to_contain_text("No study yet. Start one")


def test_what_cannot_be_done_is_one_line_beside_a_dead_button(app: str, open_page: Open) -> None:
    page = open_page(app)
    page.get_by_label("Folder").check()
    page.locator("#qc-model").get_by_role("textbox").fill("/nowhere/<b>at all")
    page.keyboard.press("Enter")
    expect(page.locator("#qc-estimate")).to_contain_text("/nowhere/<b>at all")
    expect(page.locator("#qc-go")).to_be_disabled()
    page.get_by_role("radio", name="Demo", exact=True).check()
    expect(page.locator("#qc-go")).to_be_enabled()


def test_a_budget_that_cannot_be_reached_is_one_line(app: str, open_page: Open) -> None:
    page = open_page(app)
    expect(page.locator("#qc-go")).to_be_enabled()
    with page.expect_response(lambda response: "9" in (response.request.post_data or "")) as answer:
        page.locator("#qc-budget input[type=number]").fill("9")
    assert answer.value.ok
    expect(page.locator("#qc-estimate")).to_contain_text("avg_bits 9 is out of reach")


def test_the_study_file_follows_the_widgets(app: str, open_page: Open) -> None:
    page = open_page(app)
    page.get_by_role("button", name="6 bits").click()
    page.get_by_role("checkbox", name="Input end high").uncheck()
    page.get_by_role("radio", name="Standard").check()
    page.get_by_text("Study file and command").click()
    for line in ("- 6.0", "limit: 100"):
        expect(page.locator("#qc-file")).to_contain_text(line)
    expect(page.locator("#qc-file")).not_to_contain_text("- tail")


def test_a_dropped_study_file_fills_the_form(app: str, open_page: Open, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("recipes: [bf16, tail]\nlimit: 77\nprompts: [Hello]\n")
    page = open_page(app)
    page.get_by_text("Study file and command").click()
    page.locator("#qc-file input[type=file]").set_input_files(str(file))
    expect(page.locator("#qc-estimate")).to_contain_text("2 recipes × 308 questions")
    expect(page.get_by_role("textbox", name="Prompts")).to_have_value("Hello")


def test_a_dropped_file_that_is_no_study_is_refused_in_one_line(app: str, open_page: Open, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("recipes: [<b>tial</b>]\n")
    page = open_page(app)
    page.get_by_text("Study file and command").click()
    page.locator("#qc-file input[type=file]").set_input_files(str(file))
    expect(page.get_by_text("unknown recipe '<b>tial</b>'")).to_be_visible()
    expect(page.locator("#qc-go")).to_be_enabled()


def test_results_show_headline_table_and_plots(app: str, shared_home: Path, open_page: Open) -> None:
    study = finished_study(shared_home, Study(limit=100))
    page = open_page(f"{app}?study={study.id}&tab=results")
    expect(page.locator("#qc-verdict h2:visible")).to_contain_text("If you ship one: Mixed, 5 bits")
    rows = page.locator("#qc-table tbody tr")
    expect(rows).to_have_count(5)
    expect(rows.nth(4)).to_contain_text("0.5950 (93.0%)")
    expect(page.locator("#qc-table tr.qc-best")).to_contain_text("Mixed")
    expect(page.locator(".js-plotly-plot")).to_have_count(7)
    expect(page.locator("#qc-verdict")).to_contain_text("speed was not measured")


def test_figures_are_as_wide_as_their_boxes_however_the_page_changes(
    app: str, shared_home: Path, open_page: Open
) -> None:
    fit = """() => {
      const boxes = [...document.querySelectorAll('#qc-plots .qc-plot')];
      const width = (box) => box.querySelector('.main-svg')?.getBoundingClientRect().width ?? 0;
      return boxes.length === 7 && boxes.every((box) => Math.abs(width(box) - box.clientWidth) <= 1);
    }"""
    study = finished_study(shared_home, Study(limit=100))
    page = open_page(f"{app}?study={study.id}&tab=progress")
    page.get_by_role("tab", name="Results").click()
    page.wait_for_function(fit)
    page.get_by_role("tab", name="Progress").click()
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("tab", name="Results").click()
    page.wait_for_function(fit)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.wait_for_function(fit)


def test_figures_are_drawn_anew_when_another_recipe_finishes(app: str, shared_home: Path, open_page: Open) -> None:
    store = Store(shared_home)
    study = add_study(store, Study(limit=100, recipes=("bf16", "uniform", "head")))
    bf16, uniform, head = store.jobs(study.id)
    finish_job(store, study, bf16.id)
    finish_job(store, study, uniform.id)
    page = open_page(f"{app}?study={study.id}&tab=results")
    expect(page.locator("#qc-plots .js-plotly-plot")).to_have_count(6)
    finish_job(store, study, head.id)
    expect(page.locator("#qc-plots .js-plotly-plot")).to_have_count(7)
    expect(page.locator("#qc-plots .qc-plot").first).to_contain_text("Output end high")


def test_figures_that_are_replaced_while_they_are_drawn_do_not_stop_the_next(
    app: str, shared_home: Path, open_page: Open
) -> None:
    study = finished_study(shared_home, Study(limit=100))
    page = open_page(f"{app}?study={study.id}&tab=results")
    expect(page.locator("#qc-plots .js-plotly-plot")).to_have_count(7)
    drawn = page.evaluate("""async () => {
      const figures = document.querySelector('#qc-plots .qc-figures');
      const again = () => {
        const copy = figures.cloneNode(true);
        copy.querySelectorAll('.qc-plot').forEach((box) => {
          box.replaceChildren();
          box.className = 'qc-plot';
          delete box.dataset.taken;
        });
        document.body.append(copy);
        window.qcomparePlots.show(copy);
        return copy;
      };
      const react = window.Plotly.react; // one that hangs, as where its box has gone
      const started = new Promise((go) => (window.Plotly.react = (...given) => {
        window.Plotly.react = react;
        react(...given);
        go();
        return new Promise(() => {});
      }));
      const first = again();
      await started;
      first.remove();
      const second = again();
      for (let tries = 0; tries < 100 && second.querySelectorAll('.js-plotly-plot').length < 7; tries++)
        await new Promise((go) => setTimeout(go, 100));
      return second.querySelectorAll('.js-plotly-plot').length;
    }""")
    assert drawn == 7


def test_plotly_is_sent_compressed_and_kept_by_the_browser(app: str) -> None:
    with urllib.request.urlopen(urljoin(app, "plotly.js")) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "immutable" in answer.headers["Cache-Control"]
        assert gzip.decompress(answer.read()) == gzip.decompress(PLOTLY.read_bytes())


def test_nothing_is_asked_for_while_a_page_does_not_know_its_study(
    app: str, shared_home: Path, open_page: Open
) -> None:
    study = finished_study(shared_home, Study(limit=100))
    page = open_page(f"{app}?study={study.id}&tab=results")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data or ""))
    page.reload()
    expect(page.locator("#qc-plots .main-svg").first).to_be_visible()
    calls = [text for text in asked if "fn_index" in text]
    assert calls and not [text for text in calls if f'"{OPENING}"' in text]


def test_what_is_seen_does_not_wait_for_what_is_drawn_later(app: str, shared_home: Path, open_page: Open) -> None:
    study = finished_study(shared_home, Study(limit=100))
    page = open_page(f"{app}?study={study.id}&tab=generations")
    page.add_init_script("""{
      const wait = window.setTimeout;
      window.setTimeout = (go, time, ...given) => (time === 2500 ? 0 : wait(go, time, ...given)); // later never comes
    }""")
    page.reload()
    expect(page.locator(".qc-answers .qc-prompt").first).to_be_visible()
    page.get_by_role("tab", name="Results").click()
    expect(page.locator("#qc-plots .js-plotly-plot")).to_have_count(7)


def test_a_cell_opens_its_questions_which_can_be_filtered_and_searched(
    app: str, shared_home: Path, open_page: Open
) -> None:
    study = finished_study(shared_home)
    page = open_page(f"{app}?study={study.id}&tab=results")
    page.locator("#qc-table tbody tr").nth(1).locator(".qc-cell").nth(2).click()
    questions = page.locator(".qc-question")
    expect(questions).to_have_count(10)
    expect(page.locator("#qc-questions h3").first).to_have_text("PIQA, Uniform: the questions")
    page.locator("#qc-questions").get_by_role("radio", name="Lost").check()
    expect(page.locator(".qc-kind b").first).to_have_text("Lost")
    page.get_by_label("Search").fill("question 3 of")
    page.locator("#qc-questions").get_by_role("radio", name="All").check()
    expect(questions).to_have_count(1)
    expect(questions).to_contain_text("Question 3 of piqa: <b>which</b>")


def test_the_questions_behind_a_score_scroll_inside_their_panel(app: str, shared_home: Path, open_page: Open) -> None:
    study = finished_study(shared_home, Study(limit=100))
    page = open_page(f"{app}?study={study.id}&tab=results")
    page.locator("#qc-table tbody tr").nth(1).locator(".qc-cell").nth(2).click()
    expect(page.locator(".qc-question").first).to_be_visible()
    below = "list => list.scrollHeight > list.clientHeight && getComputedStyle(list).overflowY"
    assert page.locator("#qc-question-list").evaluate(below) == "auto"


def test_the_report_is_downloaded_and_opens_without_the_app(
    app: str, shared_home: Path, open_page: Open, tmp_path: Path
) -> None:
    study = finished_study(shared_home, Study(limit=100))
    page = open_page(f"{app}?study={study.id}&tab=results")
    with page.expect_download() as download:
        page.get_by_role("button", name="Report").click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    page.goto(saved.as_uri())
    expect(page.locator("h2:visible").first).to_contain_text("If you ship one: Mixed, 5 bits")
    expect(page.locator(".js-plotly-plot svg.main-svg").first).to_be_visible()


def test_the_verdict_changes_its_wording(app: str, shared_home: Path, open_page: Open) -> None:
    study = finished_study(shared_home, Study(limit=100))
    page = open_page(f"{app}?study={study.id}&tab=results")
    expect(page.get_by_text("Holm-corrected over 4").first).to_be_hidden()
    page.get_by_text("Expert", exact=True).click()
    expect(page.get_by_text("Holm-corrected over 4").first).to_be_visible()


def test_generations_are_text_and_marked_where_they_differ(app: str, shared_home: Path, open_page: Open) -> None:
    store = Store(shared_home)
    study = add_study(store, Study(prompts=(NASTY,), recipes=("bf16", "tail")), name=NASTY)
    for job in store.jobs(study.id):
        finish_job(store, study, job.id)
    page = open_page(f"{app}?study={study.id}&tab=generations")
    expect(page.locator(".qc-prompt h3")).to_have_text(NASTY)
    expect(page.locator(".qc-columns mark")).to_have_text("known")
    expect(page.locator(".qc-columns article").nth(1)).to_contain_text("same for 8 words")
    assert page.title() == "qcompare"


def test_an_own_prompt_joins_the_study_that_it_is_asked_of(app: str, shared_home: Path, open_page: Open) -> None:
    study = finished_study(shared_home)
    page = open_page(f"{app}?study={study.id}&tab=generations")
    page.get_by_text("Ask your own prompt").click()
    page.locator("#qc-own").get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_text("the prompt is empty")).to_be_visible()
    page.locator("#qc-own-prompt textarea").fill(NASTY)
    for recipe in ("Uniform", "Output end high", "Input end high"):
        page.locator("#qc-own").get_by_role("checkbox", name=recipe).uncheck()
    page.locator("#qc-own").get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#qc-generations")).to_contain_text("0 of 2 recipes done")
    expect(page).to_have_url(re.compile(study.id))
    assert Store(shared_home).newest() == study.id
    asked = Store(shared_home).studies()[0].spec
    assert (asked.prompts, [recipe.name for recipe in asked.recipes], asked.tasks) == (
        (NASTY,),
        ["bf16", "mixed"],
        (),
    )
    page.locator("#qc-own-before input").click()
    page.get_by_role("option").last.click()
    page.locator("#qc-own-prompt textarea").fill("And why?")
    page.locator("#qc-own").get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#qc-generations")).to_contain_text("“And why?”")
    assert Store(shared_home).studies()[0].spec.prompts == ((NASTY, "And why?"),)
    assert page.title() == "qcompare"


def test_a_blind_vote_hides_names_until_they_are_revealed(app: str, shared_home: Path, open_page: Open) -> None:
    study = finished_study(shared_home)
    page = open_page(f"{app}?study={study.id}&tab=generations")
    page.get_by_role("button", name="Blind vote").click()
    names = page.locator(".qc-columns h4 span")
    expect(names.first).to_be_hidden()
    expect(page.locator(".qc-note").first).to_be_hidden()
    first = page.locator(".qc-columns article").first
    voted = first.get_attribute("data-title")
    first.get_by_role("button", name="This one is best").click()
    expect(page.locator(".qc-tally")).to_have_text("1 of 2 voted.")
    page.get_by_role("button", name="Reveal names").click()
    expect(names.first).to_be_visible()
    expect(page.locator(".qc-tally")).to_have_text(f"Your votes: {voted} 1.")
    # the column stays in its place, its choice is marked, and the vote is kept and pooled
    expect(first).to_have_attribute("data-title", voted or "")
    expect(first).to_have_attribute("data-voted", "")
    expect(page.locator("#qc-votes caption")).to_have_text("Blind votes of all voters: 1 vote, 1 voter")
    assert [vote.chosen for vote in Store(shared_home).votes(study.id)] == [first.get_attribute("data-job")]


def test_a_blind_vote_survives_a_reload(app: str, shared_home: Path, open_page: Open) -> None:
    study = finished_study(shared_home)
    page = open_page(f"{app}?study={study.id}&tab=generations")
    page.get_by_role("button", name="Blind vote").click()
    columns = page.locator(".qc-prompt").first.locator("article")
    titles = "all => all.map(each => each.dataset.title)"
    order = columns.evaluate_all(titles)
    columns.nth(2).get_by_role("button", name="This one is best").click()
    page.reload()
    expect(page.locator(".qc-tally")).to_have_text("1 of 2 voted.")
    assert columns.evaluate_all(titles) == order
    expect(page.locator(".qc-columns h4 span").first).to_be_hidden()
    expect(page.locator("#qc-votes caption")).to_be_hidden()


def test_a_blind_vote_goes_on_when_another_recipe_finishes(app: str, shared_home: Path, open_page: Open) -> None:
    store = Store(shared_home)
    study = add_study(store)
    *first, last = store.jobs(study.id)
    for job in first:
        finish_job(store, study, job.id)
    page = open_page(f"{app}?study={study.id}&tab=generations")
    page.get_by_role("button", name="Blind vote").click()
    columns = page.locator(".qc-prompt").first.locator("article")
    titles = "all => all.map(each => each.dataset.title)"
    order = columns.evaluate_all(titles)
    voted = columns.nth(1).get_attribute("data-title")
    columns.nth(1).get_by_role("button", name="This one is best").click()
    finish_job(store, study, last.id)
    expect(columns).to_have_count(5)
    assert columns.evaluate_all(titles)[:4] == order
    assert columns.evaluate_all("all => new Set(all.map(each => each.querySelector('h4').dataset.letter)).size") == 5
    expect(page.locator(".qc-columns h4 span").first).to_be_hidden()
    expect(page.locator('.qc-vote[aria-pressed="true"]')).to_have_count(1)
    expect(columns.nth(1).locator(".qc-vote")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".qc-tally")).to_have_text("1 of 2 voted.")
    page.get_by_role("button", name="Reveal names").click()
    expect(page.locator(".qc-tally")).to_have_text(f"Your votes: {voted} 1.")


def test_a_reload_opens_the_same_study_on_the_same_tab(app: str, shared_home: Path, open_page: Open) -> None:
    older = finished_study(shared_home, Study(recipes=("bf16", "uniform")))
    finished_study(shared_home)
    page = open_page(f"{app}?study={older.id}")
    page.get_by_role("tab", name="Results").click()
    expect(page.locator("#qc-table tbody tr")).to_have_count(2)
    assert f"study={older.id}" in page.url and "tab=results" in page.url
    page.reload()
    expect(page.locator("#qc-table tbody tr")).to_have_count(2)
    expect(page.get_by_role("tab", name="Results")).to_have_attribute("aria-selected", "true")


def test_the_picker_opens_another_study(app: str, shared_home: Path, open_page: Open) -> None:
    store = Store(shared_home)
    one, two = (add_study(store, name=name) for name in ("the first one", "the second one"))
    page = open_page(f"{app}?study={one.id}&tab=progress")
    expect(page.locator("#qc-rows")).to_contain_text("0 of 5 recipes done")
    page.locator("#qc-picker input").click()
    page.get_by_role("option", name="the second one").click()
    page.wait_for_url(f"**study={two.id}*")


def test_progress_shows_stages_errors_and_the_log_of_the_chosen_row(
    app: str, shared_home: Path, open_page: Open
) -> None:
    store = Store(shared_home)
    study = add_study(store)
    bf16, uniform, head, *_ = store.jobs(study.id)
    finish_job(store, study, bf16.id)
    fail_job(store, uniform.id, "out of memory: <choose> a smaller batch_size")
    run_job(store, head.id)
    page = open_page(f"{app}?study={study.id}&tab=progress")
    rows = page.locator(".qc-job")
    expect(rows.nth(1)).to_contain_text("out of memory: <choose> a smaller batch_size")
    expect(rows.nth(2)).to_contain_text("hellaswag 10/25")
    expect(page.locator("#qc-log")).to_contain_text("line 59: scoring hellaswag")
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_label("Search the whole log").fill("line 7")
    store.folder(uniform.id).log.write_text("only this\n")
    rows.nth(1).get_by_role("button", name="Show the log").click()
    expect(page.locator("#qc-log")).to_contain_text("Log of Uniform")
    expect(page.locator("#qc-log pre")).to_have_text("only this")
    expect(page.get_by_label("Search the whole log")).to_have_value("")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("button", name="Follow", exact=True)).to_be_visible()


def test_a_log_is_followed_searched_and_paused_and_the_queue_is_moved(
    app: str, shared_home: Path, open_page: Open
) -> None:
    store = Store(shared_home)
    study, other = add_study(store), add_study(store, name="the other one")
    job_id = store.jobs(study.id)[0].id
    run_job(store, job_id)
    page = open_page(f"{app}?study={study.id}&tab=progress")
    log, said = page.locator("#qc-log pre"), page.locator(".qc-log [role=status]")
    expect(log).to_contain_text("line 59: scoring")
    page.get_by_label("Search the whole log").fill("LINE 7:")
    expect(said).to_have_text("Lines that contain it: 1.")
    expect(log).to_have_text("line 7: scoring hellaswag")
    page.get_by_label("Search the whole log").fill("")
    with store.folder(job_id).log.open("a") as file:
        file.write("<b>news</b>\n")
    expect(log).to_contain_text("<b>news</b>")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(said).to_contain_text("Paused")
    page.get_by_role("button", name="Run first: the other one").click()
    expect(page.get_by_role("button", name="Run first: the other one")).to_be_hidden()
    until(lambda: store.study(other.id).priority > 0)
    store.note(other.id, priority=0)


def test_buttons_cancel_pause_and_resume_what_they_stand_beside(app: str, shared_home: Path, open_page: Open) -> None:
    store = Store(shared_home)
    study = add_study(store)
    jobs = store.jobs(study.id)
    page = open_page(f"{app}?study={study.id}&tab=progress")
    page.get_by_role("button", name="Cancel Uniform").click()
    expect(page.locator(".qc-job").nth(1)).to_contain_text("cancelled")
    assert store.job(jobs[1].id).status is Status.CANCELLED
    page.get_by_role("button", name="Resume Uniform").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".qc-job").nth(1)).to_contain_text("waiting its turn")
    page.get_by_role("button", name="Pause this study").click()
    page.get_by_role("button", name="Resume this study").click()
    expect(page.get_by_role("button", name="Pause this study")).to_be_visible()
    page.get_by_role("button", name="Cancel what is not done").click()
    expect(page.locator(".qc-overview")).to_contain_text("5 cancelled")


def test_a_press_is_answered_before_the_server_has_done_anything(
    app: str, shared_home: Path, open_page: Open
) -> None:
    study = add_study(Store(shared_home))
    page = open_page(f"{app}?study={study.id}&tab=progress")
    cancel = page.get_by_role("button", name="Cancel Uniform")
    expect(cancel).to_be_visible()
    held: list[Route] = []
    released = threading.Event()
    page.route(
        "**/gradio_api/queue/join*", lambda route: route.continue_() if released.is_set() else held.append(route)
    )
    cancel.click()
    expect(page.get_by_role("button", name="Cancelling…")).to_be_disabled()
    expect(page.get_by_role("button", name="Cancelling…")).to_have_text("Cancelling…")
    page.wait_for_timeout(2500)  # the list is brought up to date meanwhile
    expect(page.get_by_role("button", name="Cancelling…")).to_be_disabled()
    assert held
    released.set()
    for route in held:
        route.continue_()
    expect(page.locator(".qc-job").nth(1)).to_contain_text("cancelled")
    expect(page.get_by_role("button", name="Resume Uniform")).to_be_enabled()


def test_a_failed_job_offers_the_retry_that_may_help(app: str, shared_home: Path, open_page: Open) -> None:
    store = Store(shared_home)
    study = add_study(store, Study(scorer="lm_eval"))
    bf16 = store.jobs(study.id)[0].id
    run_job(store, bf16)
    store.finish(bf16, Status.FAILED, "Memory ran out.", "memory")
    page = open_page(f"{app}?study={study.id}&tab=progress")
    page.get_by_role("button", name="Retry with batches of 8").click()
    expect(page.locator(".qc-job").nth(0)).to_contain_text("waiting its turn")
    assert store.job(bf16).changes == {"batch_size": 8}


def test_history_finds_renames_clones_and_deletes(app: str, shared_home: Path, open_page: Open) -> None:
    finished_study(shared_home)
    asked = Study(recipes=("bf16", "tail"), limit=77, prompts=("Hi there",), seed=7, noise_floor=True)
    study = finished_study(shared_home, asked)
    page = open_page(f"{app}?study={study.id}&tab=history")
    expect(page.locator("#qc-chosen")).to_contain_text(study.id)
    page.get_by_label("Name", exact=True).last.fill("Tuesday <b>run")
    page.get_by_label("Tags", exact=True).fill("paper, 8B")
    page.get_by_label("Notes", exact=True).last.fill("Two\nlines")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("Search").press_sequentially("tuesday PAPER")  # gradio drops the first key after an update
    rows = page.locator(".qc-history li")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("Tuesday <b>run")
    assert Store(shared_home).study(study.id).tags == ("paper", "8B")
    page.get_by_role("tab", name="Results").click()
    expect(page.locator("#qc-notes textarea")).to_have_value("Two\nlines")
    page.locator("#qc-notes textarea").fill("Three")
    page.locator("#qc-notes textarea").blur()
    expect(page.get_by_text("Saved.").first).to_be_visible()
    page.get_by_role("tab", name="History").click()
    expect(page.get_by_label("Notes", exact=True).last).to_have_value("Three")
    page.get_by_role("button", name="Export study").click()
    expect(page.locator("#qc-chosen")).to_contain_text(".qcompare")
    page.get_by_role("button", name="Copy settings to New").click()
    expect(page.locator("#qc-estimate")).to_contain_text("2 recipes × 308 questions")
    expect(page.get_by_role("textbox", name="Prompts")).to_have_value("Hi there")
    expect(page.locator("#qc-kept")).to_contain_text("seed: 7")
    expect(page.locator("#qc-go")).to_be_enabled()
    page.get_by_role("button", name="Use the defaults").click()
    expect(page.locator("#qc-kept")).to_be_hidden()
    page.get_by_role("tab", name="History").click()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Delete it for good, free").click()
    expect(page.get_by_text("No study matches.")).to_be_visible()
    assert study.id not in [each.id for each in Store(shared_home).studies()]


def test_ticked_studies_are_compared_in_one_view_that_survives_a_reload(
    app: str, shared_home: Path, open_page: Open
) -> None:
    older, newer = (finished_study(shared_home, Study(recipes=("bf16", recipe))) for recipe in ("mixed", "tail"))
    page = open_page(f"{app}?tab=history")
    for study in (older, newer):
        page.locator(f'.qc-tick input[data-name="{study.id}"]').check()
    page.get_by_role("button", name="Compare side by side").click()
    rows = page.locator("#qc-table tbody tr")
    expect(rows).to_have_count(3)
    page.wait_for_url(f"**study={older.id}%2C{newer.id}*")
    page.reload()
    expect(rows).to_have_count(3)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    assert {"mixed", "tail"} <= set(download.value.path().read_text().replace("\n", ",").split(","))


def test_a_packed_study_is_imported_and_read_only(
    app: str, shared_home: Path, open_page: Open, tmp_path: Path
) -> None:
    study = finished_study(tmp_path / "elsewhere")
    packed = pack(Store(tmp_path / "elsewhere"), study.id, tmp_path)
    page = open_page(f"{app}?tab=history")
    page.locator("#qc-find input[type=file]").set_input_files(str(packed))
    expect(page.locator("#qc-chosen")).to_contain_text("imported, read only")
    page.get_by_role("tab", name="Results").click()
    expect(page.locator("#qc-table tbody tr")).to_have_count(5)


def test_a_page_left_open_fills_as_recipes_finish(app: str, shared_home: Path, open_page: Open) -> None:
    store = Store(shared_home)
    study = add_study(store)
    page = open_page(f"{app}?study={study.id}&tab=results")
    expect(page.locator("#qc-verdict")).to_contain_text("No recipe is finished yet")
    finish_job(store, study, store.jobs(study.id)[0].id)
    expect(page.locator("#qc-table tbody tr").nth(0)).to_contain_text("(100%)")
    expect(page.locator("#qc-table tbody tr").nth(1)).to_contain_text("waiting its turn")


def test_markup_in_the_address_is_shown_not_run(app: str, open_page: Open) -> None:
    page = open_page(f"{app}?study=%3Cimg src=x onerror=document.title='taken'%3E")
    expect(page.get_by_text("unknown study '<img src=x")).to_be_visible()
    assert page.locator("img[src=x]").count() == 0
    assert page.title() == "qcompare"


@pytest.mark.parametrize("tab", ["new", "progress", "results", "generations", "history"])
def test_a_phone_never_scrolls_the_page_sideways(app: str, shared_home: Path, open_page: Open, tab: str) -> None:
    study = finished_study(shared_home)
    page = open_page(f"{app}?study={study.id}&tab={tab}")
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.get_by_role("tab", selected=True)).to_be_visible()
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for each in page.get_by_role("tab").all():
        box = each.bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390, each.inner_text()


def test_the_margin_changes_what_to_ship(app: str, shared_home: Path, open_page: Open) -> None:
    study = finished_study(shared_home, Study(limit=100))
    page = open_page(f"{app}?study={study.id}&tab=results")
    claim = page.locator("#qc-verdict h2:visible")
    expect(claim).to_contain_text("If you ship one: Mixed")
    margin = page.locator("#qc-margin input")
    margin.fill("30")
    margin.press("Enter")
    expect(claim).to_contain_text("Ship this: Uniform.")
    expect(page.locator("#qc-verdict")).to_contain_text("They perform the same; take the smaller")


def test_more_questions_are_asked_by_a_button(app: str, shared_home: Path, open_page: Open) -> None:
    study = finished_study(shared_home, Study(limit=30, tasks=("piqa",), recipes=("bf16", "tail", "mixed")))
    page = open_page(f"{app}?study={study.id}&tab=results")
    expect(page.locator("#qc-verdict h2:visible")).to_contain_text("No winner yet")
    page.locator("#qc-ask-more").click()
    expect(page.get_by_role("tab", selected=True)).to_have_text("Progress")
    expect(page.locator(".qc-job")).to_have_count(3)
    newest = Store(shared_home).studies()[0]
    assert newest.id != study.id
    assert newest.name == f"{study.name} · 400 questions"


def test_an_address_of_no_study_opens_none(app: str, shared_home: Path, open_page: Open) -> None:
    finished_study(shared_home)
    page = open_page(f"{app}?study=nonsense&tab=results")
    expect(page.get_by_text("unknown study 'nonsense'")).to_be_visible()
    expect(page.locator("#qc-verdict")).to_contain_text("No study is open")


def test_arrow_keys_move_between_choices_and_what_has_the_focus_is_seen(app: str, open_page: Open) -> None:
    page = open_page(f"{app}?tab=new")
    expect(page.locator("#qc-estimate")).to_contain_text("5 recipes × 400 questions")
    page.wait_for_timeout(1000)
    page.get_by_role("radio", name="Demo", exact=True).press("ArrowRight")
    expect(page.get_by_role("radio", name="Hub")).to_be_checked()
    expect(page.get_by_role("radio", name="Hub")).to_be_focused()
    outline = "choice => getComputedStyle(choice.closest('label')).outlineStyle"
    assert page.get_by_role("radio", name="Hub").evaluate(outline) == "solid"
    page.locator("#qc-cards textarea").last.focus()
    page.wait_for_timeout(500)
    field, bar = page.locator("#qc-cards textarea").last.bounding_box(), page.locator("#qc-start").bounding_box()
    assert field and bar and field["y"] + field["height"] <= bar["y"]


def test_a_study_is_renamed_in_its_place(app: str, shared_home: Path, open_page: Open) -> None:
    study = finished_study(shared_home)
    page = open_page(f"{app}?study={study.id}&tab=results")
    page.get_by_role("button", name="Rename").click()
    field = page.locator("#qc-name").get_by_role("textbox")
    expect(field).to_have_value(study.name)
    field.fill("A name of its own")
    field.press("Enter")
    expect(page.locator("#qc-picker input")).to_have_value(re.compile("^A name of its own · "))
    assert Store(shared_home).study(study.id).name == "A name of its own"
