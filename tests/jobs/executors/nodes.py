"""What tests of remote executors share: an executor whose node is a process of this machine, and how to drive one."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qcompare.jobs.executors.base import Ended
from qcompare.jobs.executors.remote import RemoteExecutor
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job
from qcompare.words import Message
from tests.jobs.conftest import until

ROOT = Path(__file__).parents[3]


class ProcessExecutor(RemoteExecutor):
    """Its node is a process with an environment of its own, in which no home is named."""

    def __init__(self, store: Store, settings: Settings, environment: dict[str, str]) -> None:
        super().__init__(store, settings)
        self.environment = environment
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.printed: dict[str, Path] = {}

    def start(self, command: Sequence[str], name: str, gpus: int) -> str:
        output = Path(self.root) / f"{name}-{time.time_ns()}.out"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, *command], env=self.environment, cwd=output.parent, stdout=file, stderr=file
            )
        self.processes[str(process.pid)], self.printed[str(process.pid)] = process, output
        return str(process.pid)

    def ended(self, id: str) -> Message | None:
        code = self.processes[id].poll()
        return None if code is None else Message("it ended with {code}", {"code": code})

    def end(self, id: str) -> None:
        self.processes[id].terminate()

    def output(self, id: str) -> str:
        return self.printed[id].read_text()

    def reach(self) -> str:
        return "processes of this machine"


def started(executor: RemoteExecutor, store: Store, device: str = "node:0") -> Job:
    """The first waiting job, as a supervisor starts it."""
    job = store.claim(device)
    assert job
    handle = executor.run(job)
    assert store.started(job.id, "process", handle)
    return store.job(job.id)


def ended(executor: RemoteExecutor, job: Job, seconds: float = 400) -> Ended:
    """How it ended, watched as a supervisor does."""
    found: list[Any] = []

    def look() -> bool:
        executor.logs(job)
        found[:] = [executor.status(job)]
        return found[0] is not None

    until(look, seconds)
    return found[0]  # type: ignore[no-any-return]
