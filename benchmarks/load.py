"""Many visitors at once, and malformed requests: how long readers wait, who gets a turn when, memory after a day.

    python -m benchmarks.load [--readers 50] [--askers 10] [--malformed 10000] [--ticks 86400] [--only readers,ticks]

Readers call what an open page calls, at its pace, and open results; askers are visitors of an exhibition whose
prompts a real model answers, each job in a process of its own. Both run on the same cores as the app. The malformed
requests are those of `tests/ui/server/test_abuse.py`; a tick is a second of a page that follows a running study.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import httpx
import psutil
from filelock import FileLock

from benchmarks.load_parts import asked_turns, malformed_requests, memory_of_ticks
from benchmarks.report import Cell, report
from benchmarks.serving import serve
from benchmarks.watchers import Page
from qcompare.store import Store
from tests.synthetic import add_study, finished_study, run_job

WARM_SECONDS = 15.0
PAUSE = 12.0
"""Seconds between two results that a reader opens."""
PARTS = ("readers", "askers", "malformed", "ticks")


def main() -> None:
    """Measure and note."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--askers", type=int, default=10)
    parser.add_argument("--malformed", type=int, default=10_000)
    parser.add_argument("--ticks", type=int, default=24 * 3600)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--only", default=",".join(PARTS), help="Parts, with commas between.")
    options = parser.parse_args()
    measured: dict[str, Callable[[], list[dict[str, Cell]]]] = {
        "readers": lambda: read_at_once(options.readers, options.seconds),
        "askers": lambda: asked_turns(options.askers),
        "malformed": lambda: malformed_requests(options.malformed),
        "ticks": lambda: memory_of_ticks(options.ticks),
    }
    rows = [row for name in options.only.split(",") for row in measured[name]()]
    report("load", "Many visitors, and malformed requests", rows, ["load and app share the machine's cores"])


def read_at_once(readers: int, seconds: float) -> list[dict[str, Cell]]:
    """How long readers of one app wait for what their pages ask for."""
    waits: dict[str, list[float]] = {}
    with _running_study() as (home, finished, job_id), serve(home) as (address, app):
        stop, opened = threading.Event(), threading.Barrier(readers + 1)
        threads = [
            threading.Thread(target=_read, args=[address, finished, job_id, n, stop, opened, waits])
            for n in range(readers)
        ]
        for thread in threads:
            thread.start()
        opened.wait()
        time.sleep(WARM_SECONDS)
        waits.clear()
        before = sum(app.cpu_times()[:2])
        time.sleep(seconds)
        share = (sum(app.cpu_times()[:2]) - before) / seconds
        stop.set()
        for thread in threads:
            thread.join()
        memory = psutil.Process(app.pid).memory_info().rss
    every = sorted(wait for found in waits.values() for wait in found)
    rows: list[dict[str, Cell]] = [
        _row(f"{readers} readers: {what}, 95th percentile ms", 1000 * _high(sorted(found)), 500)
        for what, found in sorted(waits.items())
    ]
    return [
        _row(f"{readers} readers: all page data, 95th percentile ms", 1000 * _high(every), 500),
        _row(f"{readers} readers: all page data, median ms", 1000 * statistics.median(every), None),
        *rows,
        _row(f"{readers} readers: requests per second", len(every) / seconds, None),
        _row(f"{readers} readers: app, % of a core", 100 * share, None),
        _row(f"{readers} readers: app's memory, MB", memory / 1e6, None),
    ]


@contextmanager
def _running_study() -> Iterator[tuple[Path, list[str], str]]:
    """A home with two finished studies, whose results are read, and one that runs, with the job whose log grows."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        store = Store(home)
        finished = [finished_study(home).id for _ in range(2)]
        job_id = store.jobs(add_study(store).id)[0].id
        run_job(store, job_id)
        with FileLock(home / "supervisor.lock"):  # nobody ends the made-up job
            yield home, finished, job_id


def _read(
    address: str,
    finished: Sequence[str],
    job_id: str,
    number: int,
    stop: threading.Event,
    opened: threading.Barrier,
    waits: dict[str, list[float]],
) -> None:
    """A browser that follows a running study and opens results now and then, of one study and of the other."""
    with httpx.Client(base_url=address, timeout=60) as client:

        def timed(what: str, send: Callable[[], object]) -> None:
            began = time.monotonic()
            send()
            waits.setdefault(what, []).append(time.monotonic() - began)

        def get(path: str, **params: str) -> None:
            client.get(path, params=params).raise_for_status()

        timed("open the page", lambda: get("/config"))
        page = Page(client, job_id.partition(".")[0], f"reader{number}")
        reading, studies = Page(client, "", f"reader{number}-reads"), cycle(finished)

        def open_results() -> None:
            for call in reading.calls("results", next(studies)):
                timed("open results", call)

        page.look()
        open_results()
        opened.wait()
        actions: list[tuple[float, Callable[[], None]]] = [
            (1.0, lambda: timed("updates", page.look)),
            (1.0, lambda: timed("log", lambda: get(f"/log/{job_id}", **{"from": "0"}))),
            (PAUSE, open_results),
            (PAUSE, lambda: timed("results as JSON", lambda: get(f"/api/v1/studies/{finished[0]}/results"))),
        ]
        start = time.monotonic()
        due = [start + pace * number / 50 for pace, _ in actions]  # readers are not in step
        while not stop.wait(max(0.0, min(due) - time.monotonic())):
            place = due.index(min(due))
            pace, act = actions[place]
            due[place] = max(due[place] + pace, time.monotonic())
            act()


def _high(found: list[float]) -> float:
    return found[int(0.95 * (len(found) - 1))]


def _row(what: str, found: Cell, most: Cell) -> dict[str, Cell]:
    return {"what": what, "found": found, "at most": most}


if __name__ == "__main__":
    main()
