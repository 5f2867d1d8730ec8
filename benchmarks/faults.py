"""What the fault drill breaks: processes killed or stopped, a disk without room, kept work that is damaged."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from qcompare.jobs.executors.processes import MARK, alive
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Status

FAULTS = ("worker", "supervisor", "app", "both")
"""What is killed, in turns; the last three runs are the other faults."""
OTHER_FAULTS = ("stopped", "disk", "damage")
STEP_SECONDS = 240.0
"""A job's next step comes within this time."""


@dataclass
class Drill:
    """One run."""

    settings: Settings
    store: Store
    study_id: str
    chance: random.Random
    real: bool
    most_processes: dict[str, int] = field(default_factory=dict)
    """Job → the most main processes of it that were ever seen at once."""

    def processes(self, *words: str) -> list[psutil.Process]:
        """Live processes of this home whose command has all these words."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("QCOMPARE_HOME") == str(self.settings.home)
                line = " ".join(process.cmdline())
                if mine and process.status() != psutil.STATUS_ZOMBIE and all(word in line for word in words):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def running(self) -> bool:
        """A job has made a step."""
        jobs = self.store.jobs(self.study_id, Status.RUNNING)
        return any(self.store.folder(job.id).progress() for job in jobs)

    def ended(self) -> bool:
        """All jobs have."""
        return self.store.study(self.study_id).status.ended

    def watch(self, stop: threading.Event) -> None:
        """Note how many processes each job has at once."""
        while not stop.wait(0.2):
            found = {process.pid: process for process in self.processes("worker")}
            seen: dict[str, int] = {}
            for process in found.values():
                try:
                    mark = process.environ().get(MARK, "")
                    forked = process.ppid() in found  # a child that has not yet become its own program
                    seen[mark] = seen.get(mark, 0) + (process.cmdline()[-1] == mark.rpartition(":")[2] and not forked)
                except (psutil.Error, OSError, IndexError):
                    continue
            for mark, number in seen.items():
                self.most_processes[mark] = max(number, self.most_processes.get(mark, 0))


def do(drill: Drill, fault: str) -> None:
    """Break what the fault names."""
    match fault:
        case "worker" | "supervisor" | "app":
            _kill(drill.processes(fault))
        case "both":
            _kill(drill.processes("app") + drill.processes("supervisor") + drill.processes("worker"))
        case "stopped":
            for process in drill.processes("worker"):
                process.suspend()
            time.sleep(3)
            for process in drill.processes("worker"):
                process.resume()
        case "disk":
            _fill(drill.settings.home)
        case "damage":
            until(lambda: drill.store.results(drill.study_id), STEP_SECONDS)
            until(drill.running, STEP_SECONDS)
            _kill(drill.processes("supervisor") + drill.processes("worker"))
            _damage(drill)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    until(lambda: not any(alive(process) for process in processes), 10)  # a lock is held until then


def _fill(home: Path) -> None:
    """Leave no byte free for some seconds."""
    filler = home / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        except OSError:
            pass
    time.sleep(4)
    filler.unlink()


def _damage(drill: Drill) -> None:
    """Change a byte in whatever is kept: scores of questions, results."""
    home = drill.settings.home
    for path in [*home.glob("kept/*.sqlite"), *home.glob("studies/*/*/result/result.json")]:
        data = bytearray(path.read_bytes())
        for _ in range(20):
            data[drill.chance.randrange(len(data) // 2, len(data))] ^= 0xFF
        path.write_bytes(data)


def until(condition: Callable[[], object], seconds: float) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
