"""A home with many stored studies: how long its list, a results page and the queue take.

python -m benchmarks.many_studies [--studies 1000]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Cell, report
from qcompare.compare.table import read_comparison
from qcompare.store import Store
from qcompare.store.logs import find_lines, read_since
from qcompare.study.records import Progress
from qcompare.study.spec import Study
from qcompare.ui.history.tab import ANY, View, history_rows
from qcompare.ui.parts import PageState
from tests.synthetic import add_study, finish_job, run_job


def fill(store: Store, studies: int) -> str:
    """Store so many finished studies, the last one with all its files; gives its id."""
    for number in range(studies - 1):
        study = add_study(store, Study(limit=25 + number % 50), f"study {number} of a long row")
        with store._database.change() as db:
            db.execute("UPDATE job SET status = 'success', size_bytes = 100000 WHERE study_id = ?", [study.id])
    study = add_study(store, Study(limit=100), "the last one")
    for job in store.jobs(study.id):
        finish_job(store, study, job.id)
    return study.id


def median_ms(act: Callable[[], object], repeat: int = 7) -> float:
    """Milliseconds; the first call, which fills caches, does not count."""
    act()
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        act()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def measure(store: Store, study_id: str) -> list[dict[str, Cell]]:
    """One row a figure."""
    from qcompare.ui.progress.tab import _rows_token, _show_rows

    rows: list[dict[str, Cell]] = [
        {
            "what": "list of History",
            "ms": median_ms(lambda: history_rows(store, View(), "", ANY, study_id)),
            "at most": 150,
        },
        {"what": "search", "ms": median_ms(lambda: history_rows(store, View(), "row 77", ANY, "")), "at most": 150},
        {
            "what": "comparison of one study",
            "ms": median_ms(lambda: read_comparison(store, (study_id,))),
            "at most": 400,
        },
    ]
    large = add_study(
        store, Study(avg_bits=tuple(4 + n / 67 for n in range(66)), recipes=("bf16", "head", "tail", "mixed"))
    )
    job = store.jobs(large.id)[0]
    run_job(store, job.id)
    with store.folder(job.id).log.open("w") as log:
        log.writelines(f"line {n}: {'x' * 90}\n" for n in range(1_000_000))
    store.folder(job.id).report(Progress(time=time.time(), stage="hellaswag", done=1, total=2, fraction=0.5))
    state = PageState(store, (large.id,), "")
    path = store.folder(job.id).log
    tick = median_ms(lambda: (_rows_token(state), read_since(path, path.stat().st_size - 1000)))
    shown = median_ms(lambda: (_show_rows(state), read_since(path, 0)))
    jobs = len(store.jobs(large.id))
    rows.append({"what": f"look for news: {jobs} jobs, 100 MB log", "ms": tick, "at most": 50})
    rows.append({"what": f"draw: {jobs} jobs, 100 MB log", "ms": shown, "at most": 200})
    absent = median_ms(lambda: find_lines(path, "zebra"))
    rows.append({"what": "search a 100 MB log for what is not in it", "ms": absent, "at most": None})
    return rows


def main() -> None:
    """Measure and note."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "home")
        study_id = fill(store, options.studies)
        rows = measure(store, study_id)
    report("many_studies", f"A home with {options.studies} studies", rows, ["medians of 7"])


if __name__ == "__main__":
    main()
