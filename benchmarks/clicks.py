"""How long a click takes in Chromium: until the page answers at all, and until what was asked for is there.

    python -m benchmarks.clicks [--root FOLDER ...] [--repeat 3]

A made-up study of five rows and five tasks, and a study of stand-in jobs (real supervisor and processes) that is
paused, resumed and cancelled. Times are taken inside the page, from the press to the first frame that shows the
change. With several roots (checkouts), their apps take turns, so that all meet the same load.
"""

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.report import Cell, report
from benchmarks.serving import serve
from qcompare.store import Store
from qcompare.study.presets import PUBLISHED_TASKS
from qcompare.study.spec import Study
from tests.jobs.standin import queue
from tests.synthetic import finished_study
from tests.ui.conftest import ARGUMENTS, BEEN_HERE, CHROMIUM

ROOT = Path(__file__).parents[1]
WAIT_MS = 60_000
MEASURE = """({ selector, feedback, done }) => {
  const answers = feedback ? new Function(`return ${feedback}`) : null, ends = new Function(`return ${done}`);
  window.measured = {};
  let began = null;
  const look = () => {
    const now = performance.now();
    if (began !== null) {
      if (window.measured.feedback === undefined && (ends() || answers?.())) window.measured.feedback = now - began;
      if (ends()) return (window.measured.done = now - began);
    }
    requestAnimationFrame(look);
  };
  const element = document.querySelector(selector);
  element.addEventListener('pointerdown', () => (began = performance.now()), { once: true, capture: true });
  element.addEventListener('click', () => (began ??= performance.now()), { once: true, capture: true });
  requestAnimationFrame(look);
}"""
OPENING = """
const ends = {
  results: { table: '#qc-table tbody tr', charts: '#qc-plots .js-plotly-plot .main-svg' },
  generations: { answers: '.qc-answers .qc-prompt' },
}[new URL(window.location.href).searchParams.get('tab')] ?? {};
window.opened = {};
const look = () => {
  for (const [name, selector] of Object.entries(ends)) {
    if (!document.querySelector(selector)?.checkVisibility()) continue;
    window.opened[name] = performance.now();
    delete ends[name];
  }
  if (Object.keys(ends).length) requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


@dataclass(frozen=True)
class Click:
    """One thing to press."""

    what: str
    selector: str
    done: str
    """JavaScript that is true once what was asked for is there."""
    feedback: str = ""
    """JavaScript that is true once the page has answered the press in any way; empty: only by `done`."""


OVERVIEW = "document.querySelector('.qc-overview"
ACT = "document.querySelector('#qc-rows [data-act][disabled]')"
RESULTS = (
    Click("questions behind a score", "#qc-table tbody tr:nth-child(2) .qc-cell",
          "document.querySelector('.qc-question')?.checkVisibility()",
          "document.documentElement.classList.contains('qc-cell-open')"),
    Click("questions: lost ones", "#qc-questions fieldset label:nth-of-type(2) input",
          "document.querySelector('.qc-kind b')?.textContent === 'Lost'",
          "document.querySelectorAll('#qc-questions input[type=radio]')[1].checked"),
    Click("wording for experts", "label[for=qc-expert]", "document.querySelector('#qc-expert').checked"),
    Click("tab Generations", "#qc-tabs [data-tab-id=generations]",
          "document.querySelector('.qc-answers')?.checkVisibility()"),
    Click("blind vote", ".qc-start-blind", "document.querySelector('.qc-answers').dataset.blind === 'on'"),
    Click("tab Results", "#qc-tabs [data-tab-id=results]", "document.querySelector('#qc-table')?.checkVisibility()"),
    Click("report", "#qc-take-away button", "window.saved === 1",
          "document.querySelector('#qc-take-away [aria-busy=true]')"),
    Click("report again", "#qc-take-away button", "window.saved === 2",
          "document.querySelector('#qc-take-away [aria-busy=true]')"),
)  # fmt: skip
JOBS = (
    Click("pause", "#qc-rows [data-act=pause]", f"{OVERVIEW} [data-act=resume]:enabled')", ACT),
    Click("resume", "#qc-rows [data-act=resume]", f"{OVERVIEW} [data-act=pause]:enabled')", ACT),
    Click("cancel", ".qc-overview [data-act=cancel]",
          f"{OVERVIEW}')?.textContent.includes('cancelled')", ACT),
)  # fmt: skip
OPENINGS = (
    ("the first page of a new app, results", "results", ("table", "charts")),
    ("a later page, generations", "generations", ("answers",)),
    ("a later page, results", "results", ("table", "charts")),
)
"""Addresses opened before the clicks, and what is waited for."""
STANDIN_APP = (sys.executable, "-m", "tests.jobs.standin", "app")
Times = dict[str, list[tuple[float, float]]]
"""By what was pressed: milliseconds until feedback, and until it was done."""


def press(page: Page, click: Click, found: Times) -> None:
    """Press once, and note how long it took."""
    page.locator(click.selector).first.wait_for(state="visible" if "input" not in click.selector else "attached")
    page.evaluate(MEASURE, {"selector": click.selector, "feedback": click.feedback, "done": click.done})
    page.locator(click.selector).first.click(force="input" in click.selector)
    page.wait_for_function("window.measured.done !== undefined", timeout=WAIT_MS)
    measured = page.evaluate("window.measured")
    found.setdefault(click.what, []).append((measured["feedback"], measured["done"]))
    print(click.what, measured, flush=True)


def once(page: Page, address: str, home: Path, study_id: str, found: Times) -> None:
    """All clicks once."""
    for what, tab, ends in OPENINGS:
        page.goto(f"{address}/?study={study_id}&tab={tab}")
        page.wait_for_function(f"{list(ends)}.every(name => name in window.opened)", timeout=WAIT_MS)
        for name in ends:
            taken = float(page.evaluate("window.opened")[name])
            found.setdefault(f"{what}: {name}", []).append((taken, taken))
            print(f"{what}: {name}", taken, flush=True)
    page.evaluate("window.saved = 0; const save = qcompare.save.bind(qcompare);"
                  "qcompare.save = async (file) => { await save(file); window.saved += 1; }")  # fmt: skip
    for click in RESULTS:
        press(page, click, found)
    jobs = queue(Store(home), ("bf16", "uniform"), steps=2000, seconds=0.05)
    page.goto(f"{address}/?study={jobs.id}&tab=progress")
    page.wait_for_function("document.querySelector('.qc-job.qc-running')", timeout=WAIT_MS)
    for click in JOBS:
        press(page, click, found)
        page.wait_for_timeout(500)


def measure(roots: list[Path], repeat: int) -> dict[str, Times]:
    """By the name of the root."""
    found: dict[str, Times] = {root.name: {} for root in roots}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for _ in range(repeat):
            for root in roots:
                with tempfile.TemporaryDirectory() as folder:
                    home = Path(folder)
                    study = finished_study(home, Study(tasks=PUBLISHED_TASKS, limit=200))
                    settings = {"QCOMPARE_RECORDING": "false"}
                    with serve(home, STANDIN_APP, root, **settings) as (address, _):
                        context = chromium.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
                        context.add_init_script(BEEN_HERE + OPENING)
                        page = context.new_page()
                        once(page, address, home, study.id, found[root.name])
                        context.close()
                print(f"{root.name}: done", flush=True)
        chromium.close()
    return found


def main() -> None:
    """Measure and note."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, nargs="+", default=[ROOT], help="checkouts; several are only compared")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    found = measure([root.resolve() for root in options.root], options.repeat)
    rows: list[dict[str, Cell]] = []
    for what in next(iter(found.values())):
        row: dict[str, Cell] = {"what": what}
        for name, times in found.items():
            of = f" of {name}" if len(found) > 1 else ""
            row[f"answers after, ms{of}"] = statistics.median(each[0] for each in times[what])
            row[f"done after, ms{of}"] = statistics.median(each[1] for each in times[what])
        rows.append(row)
    if len(found) > 1:
        for row in rows:
            print(" | ".join(f"{value:.0f}" if isinstance(value, float) else str(value) for value in row.values()))
        return
    report("clicks", "Clicks in Chromium", rows, [f"medians of {options.repeat} starts of the app"])


if __name__ == "__main__":
    main()
