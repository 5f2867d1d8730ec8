"""The Results page of a large study: first view, drill-down and report.

    python -m benchmarks.results_page [--questions 32000]

A made-up study of 8 recipes and the five published tasks. Each figure is of a process that has just been started and
has the app's modules loaded, so that what is loaded late (plotly, pandas) and the first look at the files count.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report import Cell, report
from qcompare.store import Store
from qcompare.study.presets import PUBLISHED_TASKS
from qcompare.study.spec import Study
from qcompare.study.task import TASKS
from tests.synthetic import add_study, answered, finish_job, many

RECIPES = ("bf16", "uniform", "head", "tail", "mixed")
BUDGETS = (4.5, 5.0)
"""Two without a budget, three at each: 8 rows."""
STORY = "A man in a kitchen explains at some length what he is going to do with the vegetables before him. " * 3
"""Makes questions as long as real ones."""
REPEAT = 3


def fill(home: Path, questions: int) -> str:
    """A home with one study of so many questions a recipe; gives its id."""
    store = Store(home)
    share = questions / sum(TASKS[task].questions or 0 for task in PUBLISHED_TASKS)
    study = add_study(store, Study(recipes=RECIPES, avg_bits=BUDGETS, tasks=PUBLISHED_TASKS, limit=None))
    for job in store.jobs(study.id):
        finish_job(store, study, job.id, answered(job.recipe, many(study.spec, share), STORY))
    return study.id


def first_view(home: Path, study_id: str) -> dict[str, float]:
    """Verdict, table and figures, as the app's handler makes them."""
    from qcompare.ui.parts import PageState
    from qcompare.ui.results import figures, tab
    from qcompare.ui.shared import SharedStore

    state = PageState(SharedStore(home), (study_id,), "")

    def show() -> None:
        tab._show(state)
        figures._show(state)

    return {
        "words": _seconds(lambda: tab._show(state)),
        "figures": _seconds(lambda: figures._show(state)),
        "again": _seconds(show),
    }


def drill_down(home: Path, study_id: str) -> dict[str, float]:
    """The questions behind a cell of the largest task: opened, filtered, searched, the next recipe's."""
    from qcompare.compare.questions import Change, read_questions
    from qcompare.present.html import questions_html

    store = Store(home)

    def shown(recipe: str, **asked: Any) -> float:
        return _seconds(lambda: questions_html(read_questions(store, f"{study_id}.{recipe}", "mmlu", **asked)))

    return {
        "opened": shown("mixed-5"),
        "filtered": shown("mixed-5", change=Change.LOST),
        "searched": shown("mixed-5", search="question 77"),
        "next": shown("tail-5", change=Change.LOST),
    }


def whole_report(home: Path, study_id: str) -> dict[str, float]:
    """The report as a file."""
    from qcompare.present.report import report as make_report

    pages: list[str] = []
    seconds = _seconds(lambda: pages.append(make_report(Store(home), (study_id,))))
    return {"report": seconds, "megabytes": len(pages[0].encode()) / 1e6}


PARTS: dict[str, Callable[[Path, str], dict[str, float]]] = {
    "first_view": first_view,
    "drill_down": drill_down,
    "whole_report": whole_report,
}


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _in_a_new_process(part: str, home: Path, study_id: str) -> dict[str, float]:
    """Medians over some processes."""
    command = [sys.executable, "-m", "benchmarks.results_page", "--part", part, str(home), study_id]
    runs = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(REPEAT)]
    return {name: sorted(run[name] for run in runs)[REPEAT // 2] for name in runs[0]}


def measure(home: Path, study_id: str) -> list[dict[str, Cell]]:
    """One row a figure."""
    found: dict[str, float] = {}
    for part in PARTS:
        found |= _in_a_new_process(part, home, study_id)
    lines = [
        ("first view: words and table, s", "words", 1.0),
        ("first view: figures after them, s", "figures", 1.0),
        ("the same study again, s", "again", 1.5),
        ("questions behind a cell, opened, s", "opened", 1.0),
        ("filtered to lost ones, s", "filtered", 0.3),
        ("searched, s", "searched", 0.3),
        ("another recipe's, s", "next", 0.3),
        ("report, s", "report", 10),
        ("report, MB", "megabytes", 8),
    ]
    return [{"what": what, "found": found[name], "at most": most} for what, name, most in lines]


def main() -> None:
    """Measure and note."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=32_000)
    parser.add_argument("--part", nargs=3, metavar=("PART", "HOME", "STUDY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        import qcompare.ui.app  # noqa: F401  a running app has it loaded

        part, home, study_id = options.part
        print(json.dumps(PARTS[part](Path(home), study_id)))
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        rows = measure(home, fill(home, options.questions))
    notes = [f"8 recipes, 5 tasks, {options.questions} questions a recipe; medians of {REPEAT} processes"]
    report("results_page", "The Results page of a large study", rows, notes)


if __name__ == "__main__":
    main()
