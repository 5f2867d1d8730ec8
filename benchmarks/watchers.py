"""What an open app costs: processor time with nobody watching, and with many browsers on one running study.

    python -m benchmarks.watchers [--watchers 25] [--seconds 20]

A watcher asks for news over HTTP as a browser's page does, each second. The study's log grows by a line every tenth
of a second; the lag is from the writing of each line until a watcher first has it.
"""

import argparse
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
from filelock import FileLock

from benchmarks.report import Cell, report
from benchmarks.serving import serve
from qcompare.store import Store
from qcompare.study.records import Progress
from tests.synthetic import add_study, run_job

WARM_SECONDS = 6.0
SECONDS = 1.0
"""The pace of `assets/updates.js` and `assets/log.js`."""
STAMP = re.compile(r"written at (\d+\.\d+)")


def main() -> None:
    """Measure and note."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        store = Store(home)
        study = add_study(store)
        job_id = store.jobs(study.id)[0].id
        run_job(store, job_id)
        with FileLock(home / "supervisor.lock"), serve(home) as (address, app):  # nobody ends the made-up job
            time.sleep(WARM_SECONDS)
            idle = _share(app, options.seconds)
            lags: list[float] = []
            stop = threading.Event()
            threads = [threading.Thread(target=_write, args=[store, job_id, stop])]
            threads += [
                threading.Thread(target=_watch, args=[address, job_id, number, stop, lags])
                for number in range(options.watchers)
            ]
            for thread in threads:
                thread.start()
            time.sleep(WARM_SECONDS)
            busy = _share(app, options.seconds)
            stop.set()
            for thread in threads:
                thread.join()
    lags.sort()
    rows: list[dict[str, Cell]] = [
        {"what": "app, nobody watching: % of a core", "found": 100 * idle, "at most": 1},
        {"what": f"app, {options.watchers} watching: % of a core", "found": 100 * busy, "at most": 30},
        {"what": "log lag, median s", "found": statistics.median(lags), "at most": 1.5},
        {"what": "log lag, 95th percentile s", "found": lags[int(0.95 * len(lags))], "at most": 1.5},
    ]
    report("watchers", "An open app", rows, [f"{len(lags)} lines seen; news are asked for every {SECONDS:g} s"])


def _share(app: psutil.Popen, seconds: float) -> float:
    """Processor seconds a second."""
    before = sum(app.cpu_times()[:2])
    time.sleep(seconds)
    return float(sum(app.cpu_times()[:2]) - before) / seconds


def _write(store: Store, job_id: str, stop: threading.Event) -> None:
    folder, done = store.folder(job_id), 0
    while not stop.wait(0.1):
        done += 1
        with folder.log.open("a") as log:
            log.write(f"line {done} written at {time.time():.3f}\n")
        if done % 5 == 0:
            fraction = min(0.9, done / 1000)
            folder.report(Progress(time=time.time(), stage="hellaswag", done=done, total=1000, fraction=fraction))


def _watch(address: str, job_id: str, number: int, stop: threading.Event, lags: list[float]) -> None:
    """A browser: it asks for updates and for what is new in the log, each second."""
    with httpx.Client(base_url=address, timeout=30) as client:
        page = Page(client, job_id.partition(".")[0], f"watcher{number}")
        page.look()
        newest, offset = time.time(), 0
        due = time.monotonic() + number / 25  # browsers are not in step
        while not stop.wait(max(0.0, due - time.monotonic())):
            due += SECONDS
            page.look()
            piece = client.get(f"/log/{job_id}", params={"from": offset}).json()
            offset = piece["next"]
            new = [moment for found in STAMP.findall(piece["lines"]) if (moment := float(found)) > newest]
            lags += [time.time() - moment for moment in new]
            newest = max(new, default=newest)


class Page:
    """What `updates.js` and gradio's page do: updates are asked for, and handlers called when the stamp changes."""

    def __init__(self, client: httpx.Client, study: str, session: str) -> None:
        self._client, self._study, self._session = client, study, session
        self._versions, self._stamp = {"rows": "", "log": "", "devices": ""}, ""
        self._handlers = _after_stamp(client.get("/config").raise_for_status().json())

    def look(self) -> None:
        """One second of the page."""
        asked = {"study": self._study, "job": "", **self._versions}
        found = self._client.get("/updates", params=asked).raise_for_status().json()
        self._versions |= {name: drawn["version"] for name, drawn in found["live"].items()}
        if found["stamp"] not in ("", self._stamp):
            self._stamp = found["stamp"]
            for call in self.calls("progress", self._study):
                call()

    def calls(self, tab: str, study: str) -> Iterator[Callable[[], object]]:
        """What brings the page up to date, one call for each group of panels, with that tab seen and study open."""
        for handler, inputs in self._handlers:
            data = [tab, study, "", None][-inputs:]
            body = {"fn_index": handler, "data": data, "session_hash": self._session, "trigger_id": None}
            yield partial(self._post, body)

    def _post(self, body: dict[str, Any]) -> None:
        self._client.post("/gradio_api/run/predict", json=body).raise_for_status()


def _after_stamp(config: dict[str, Any]) -> list[tuple[int, int]]:
    """(handler, how many inputs it has) of what brings the page up to date when the stamp changes."""
    [stamp] = [each["outputs"][0] for each in config["dependencies"] if each["targets"][0][1] == "updated"]
    return [
        (int(each["id"]), len(each["inputs"]))
        for each in config["dependencies"]
        if each["backend_fn"] and [stamp, "change"] in each["targets"]
    ]


if __name__ == "__main__":
    main()
