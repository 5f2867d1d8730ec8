"""Kill things at random moments; afterwards every study must be complete, with the scores of an undisturbed one.

    python -m benchmarks.fault_drill [--runs 30] [--first 0] [--real]

Each run queues a study of two jobs in a home of its own, does something bad while they run, restarts what was ended,
and waits. It fails when a job is lost, did not succeed, ran in two processes at once, scored differently, or when a
process is left. Without `--real`, jobs are stand-ins that keep each of their steps, as evaluation does, so that a run
takes seconds; with it they are the real worker, on a small random Llama and questions of the demo bundle.
"""

import argparse
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults import FAULTS, OTHER_FAULTS, Drill, do, until
from benchmarks.report import Cell, report
from qcompare.jobs.control import resume
from qcompare.jobs.executors.background import ensure_running
from qcompare.jobs.submit import submit
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Status
from qcompare.study.spec import Study

RECIPES = ("bf16", "uniform")
TASKS = ("piqa", "lambada_openai")
START_SECONDS = 60.0
END_SECONDS = 240.0
PASSED = "every study complete with the scores of an undisturbed one; no job in two processes; no process left"
LEFT_SECONDS = 15.0
"""A supervisor without work ends by itself within this time."""


def faults(runs: int) -> list[str]:
    """What is done in each run."""
    kills = max(0, runs - len(OTHER_FAULTS))
    return [FAULTS[number % len(FAULTS)] for number in range(kills)] + list(OTHER_FAULTS)[: runs - kills]


def run(fault: str, seed: int, model: Path | None, averages: dict[str, float | None]) -> float:
    """One run; gives the seconds until all was complete again.

    Args:
        model: of real jobs; None for stand-ins.
        averages: recipe → score of an undisturbed study.

    Raises:
        AssertionError: what went wrong.
    """
    with _home(fault == "disk") as home:
        drill = _queue(home, random.Random(seed), model)
        stop = threading.Event()
        watcher = threading.Thread(target=drill.watch, args=[stop])
        watcher.start()
        try:
            seconds = _disturb(drill, fault)
            _check(drill, averages)
        finally:
            stop.set()
            watcher.join()
            for process in drill.processes():
                process.kill()
    return seconds


def undisturbed(model: Path | None) -> dict[str, float | None]:
    """Recipe → score."""
    with _home(False) as home:
        drill = _queue(home, random.Random(0), model)
        ensure_running(drill.settings)
        until(drill.ended, END_SECONDS)
        return {result.recipe: result.average for result in drill.store.results(drill.study_id)}


def _queue(home: Path, chance: random.Random, model: Path | None) -> Drill:
    settings = Settings(home=home)
    store = Store(home)
    if model:
        spec = Study(model=str(model), recipes=RECIPES, tasks=TASKS, limit=100, prompts=("Hi",), max_new_tokens=4,
                     divergence=None)  # fmt: skip
        record = submit(spec, settings, anyway=True)
    else:
        from tests.jobs.standin import CHILD, queue

        record = queue(store, RECIPES, steps=30, seconds=0.05, children=(CHILD,))
    return Drill(settings, store, record.id, chance, model is not None)


def _disturb(drill: Drill, fault: str) -> float:
    app = _start_app(drill) if fault in ("app", "both") else None
    if app is None:
        ensure_running(drill.settings)
    until(drill.running, START_SECONDS)
    time.sleep(drill.chance.uniform(0, 5 if drill.real else 1.5))
    began = time.monotonic()
    do(drill, fault)
    if app:
        app.wait()
        app = _start_app(drill)  # an opened app takes the queue over
    elif fault != "stopped":
        ensure_running(drill.settings)
    until(drill.ended, END_SECONDS)
    if fault in ("disk", "damage"):  # what failed or is damaged waits for a person to say so
        resume(drill.study_id, drill.settings)
        until(drill.ended, END_SECONDS)
    seconds = time.monotonic() - began
    if app:
        app.kill()
        app.wait()
    return seconds


def _check(drill: Drill, averages: dict[str, float | None]) -> None:
    jobs = drill.store.jobs(drill.study_id)
    assert [job.status for job in jobs] == [Status.SUCCESS] * len(RECIPES), [(j.id, j.status, j.error) for j in jobs]
    found = {result.recipe: result.average for result in drill.store.results(drill.study_id)}
    assert found == averages, f"scores {found}, undisturbed {averages}"
    assert all(number <= 1 for number in drill.most_processes.values()), drill.most_processes
    until(lambda: not drill.processes(), LEFT_SECONDS)


def _start_app(drill: Drill) -> "subprocess.Popen[bytes]":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py"] if drill.real else [sys.executable, "-m", "tests.jobs.standin", "app"]
    with (drill.settings.home / "app.log").open("ab") as log:
        environment = os.environ | drill.settings.environment() | {"QCOMPARE_PORT": str(port)}
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


@contextmanager
def _home(small: bool) -> Iterator[Path]:
    """An empty home; a small one is a file system of its own, which can be filled."""
    folder = Path(tempfile.mkdtemp(prefix="qcompare-drill-"))
    home = folder / "home"
    home.mkdir()
    if small:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(home)], check=True)
    try:
        yield home
    finally:
        if small:
            subprocess.run(["umount", "-l", str(home)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Run the drill and note its outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    model = None
    if options.real:
        from tests.tiny import tiny_llama

        model = tiny_llama(Path(tempfile.mkdtemp(prefix="qcompare-tiny-")))
    else:
        from tests.jobs import standin

        standin.use()
    averages = undisturbed(model)
    rows: list[dict[str, Cell]] = []
    for number, fault in list(enumerate(faults(options.runs)))[options.first :]:
        seconds = run(fault, number, model, averages)
        print(f"run {number + 1}: {fault}, complete after {seconds:.1f} s", flush=True)
        rows.append({"run": number + 1, "fault": fault, "seconds until complete": seconds})
    kind = "real jobs on a small random Llama" if options.real else "stand-in jobs, real processes"
    name = f"fault_drill{' --real' if options.real else ''} --runs {options.runs}"
    report(name, f"Fault drill, {kind}", rows, [PASSED])


if __name__ == "__main__":
    main()
