"""Jobs as processes of this machine, one per device at a time.

A job is forked from a process that has its libraries imported (`forkserver`), or started afresh where that cannot be:
on systems other than Linux, or with environment variables of its own, which libraries read when they are imported.
"""

from collections.abc import Sequence

import psutil

from qcompare.jobs.executors.base import Ended, Executor
from qcompare.jobs.executors.forkserver import ForkServer
from qcompare.jobs.executors.processes import alive, find_worker, handle_of, start_worker, stop
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job
from qcompare.words import Message


class LocalExecutor(Executor):
    """Each job is a process with a session, an environment mark and a log file of its own."""

    def __init__(self, store: Store, settings: Settings) -> None:
        super().__init__(store, settings)
        self._processes: dict[str, psutil.Process] = {}
        self._server = ForkServer(store, settings)

    def run(self, job: Job) -> str:
        """Fork it, or start it."""
        self.store.folder(job.id).path.mkdir(parents=True, exist_ok=True)
        own_environment = any(name.isupper() for name in job.changes)
        process = None if own_environment else self._server.fork(job)
        process = process or start_worker(job, self.store, self.settings)
        self._processes[job.id] = process
        return handle_of(process)

    def status(self, job: Job) -> Ended | None:
        """None while its main process lives."""
        process = self._processes.get(job.id) or find_worker(job, self.store.home)
        if process is None:
            return Ended(cause(None))
        self._processes[job.id] = process
        code = process.poll() if isinstance(process, psutil.Popen) else None
        if code is None and alive(process):
            return None
        if code is None and isinstance(process, psutil.Popen):
            code = process.wait()  # it ended between the two looks
        del self._processes[job.id]
        return Ended(cause(self._server.exit_code(process.pid) if code is None else code))

    def stop(self, jobs: Sequence[Job]) -> None:
        """TERM, then KILL, to every process of these jobs."""
        stop(jobs, self.store.home)

    def close(self) -> None:
        """End the process from which jobs are forked."""
        self._server.close()


def cause(code: int | None) -> Message:
    """How a process ended that could not say so itself.

    Args:
        code: of its exit; None when nobody knows it.
    """
    if code is None:
        return Message("its process is gone: killed, or the machine was restarted")
    if code in (-9, 137):
        return Message("its process was killed by the system, most likely because memory ran out")
    if code < 0:
        return Message("its process was ended by signal {signal}", {"signal": -code})
    return Message("its process ended with code {code} before the result was complete", {"code": code})
