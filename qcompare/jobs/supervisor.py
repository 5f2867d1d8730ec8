"""Hands queued jobs to devices: `python -m qcompare.jobs.supervisor`, one per home.

A process of its own, so that jobs outlive the app and the command line that queued them. It ends by itself when the
queue is empty. When it dies, its jobs go on; the app, a watching command line, or a job that ends starts another one
(`background.ensure_running`), which takes over what it finds. What a job runs as, its executor knows.
"""

import sqlite3
import sys
import time

from qcompare.errors import NotFound, QCompareError
from qcompare.jobs.executors import Executors
from qcompare.jobs.executors.background import LOCK
from qcompare.jobs.executors.base import Ended
from qcompare.jobs.executors.locks import exclusive
from qcompare.models.devices import join_ids, split_ids
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import FailureKind, Job, Status

POLL_SECONDS = 0.2
IDLE_SECONDS = 5.0
"""A supervisor without work waits this long for more."""
TROUBLE_SECONDS = 1.0
DEVICES_SECONDS = 10.0
"""Between two questions to an executor which devices there are."""


def main() -> None:
    """Run queued jobs until none is left."""
    settings = Settings()
    store = Store(settings.home)
    while True:
        with exclusive(settings.home / LOCK, wait=False) as only_one:
            if not only_one:
                return  # another supervisor is at work
            Supervisor(store, settings).work()
        # A study queued just before the lock was released found it held: look once more.
        if not store.work_left():
            return


class Supervisor:
    """The loop that starts and watches jobs, one per device."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.executors = Executors(store, settings)
        self._devices: dict[str, tuple[float, tuple[str, ...]]] = {}
        self.running: dict[str, Job] = {}

    def work(self) -> None:
        """Return when nothing has run or waited for a while."""
        try:
            self._work()
        finally:
            self.executors.close()

    def _work(self) -> None:
        self._adopt()
        idle_since = time.monotonic()
        while time.monotonic() - idle_since < IDLE_SECONDS:
            try:
                self._step()
            except (sqlite3.OperationalError, OSError, QCompareError) as error:
                if not self.store.home.exists():
                    return  # somebody removed it, with all its jobs
                # A full disk, a process that does not die: the jobs that run go on, and it is tried again.
                print(error, file=sys.stderr, flush=True)
                time.sleep(TROUBLE_SECONDS)
            if self.running:
                idle_since = time.monotonic()
            time.sleep(POLL_SECONDS)

    def _step(self) -> None:
        for device, job in list(self.running.items()):
            executor = self.executors.of(job)
            executor.logs(job)
            if ended := executor.status(job):
                self._note_end(job, ended)
                del self.running[device]
        self._stop_asked()
        self._start_waiting()

    def _start_waiting(self) -> None:
        """Give free devices to the next jobs. One that must hold several GPUs waits for them, and the rest for it."""
        while job := self.store.next_job():
            executor, devices, free = self._places(job)
            gpus = min(job.estimate.gpus, len(devices)) if job.estimate else 1
            if not free or gpus > len(free):
                return
            device = join_ids(tuple(free[:gpus]))
            if claimed := self.store.claim(device, job.id):
                self._start(claimed, device, executor)

    def _places(self, job: Job) -> tuple[str, tuple[str, ...], list[str]]:
        """The name of the executor that is to run a job, its devices, and those that are free."""
        name, executor = self.executors.for_new(job)
        when, devices = self._devices.get(name, (-DEVICES_SECONDS, ()))
        if time.monotonic() - when >= DEVICES_SECONDS:
            devices = executor.devices()
            self._devices[name] = (time.monotonic(), devices)
        held = {part for device in self.running for part in split_ids(device)}
        return name, devices, [device for device in devices if device not in held]

    def _start(self, job: Job, device: str, executor: str) -> None:
        self.running[device] = job  # also when it cannot be started: the next step finds that it has ended
        handle = self.executors.for_new(job)[1].run(job)
        self.running[device] = job.model_copy(update={"executor": executor, "handle": handle})
        if not self.store.started(job.id, executor, handle):  # cancelled in this very moment
            self.executors.stop([self.running.pop(device)])

    def _adopt(self) -> None:
        """Take over what an earlier supervisor left: live jobs are watched, the ends of dead ones noted."""
        for job in self.store.jobs(status=Status.RUNNING, exports=True):
            if ended := self.executors.of(job).status(job):
                self._note_end(job, ended)
            else:
                self.running[job.device or job.id] = job

    def _stop_asked(self) -> None:
        """Whoever asks for a stop does it; this finishes what a dead one began."""
        if jobs := self.store.stopping():
            self.executors.stop(jobs)
            for job in jobs:
                self.store.stopped(job.id)

    def _note_end(self, job: Job, ended: Ended) -> None:
        """A job notes its own end; this says what happened to one that could not, and continues it."""
        self.executors.stop([job])  # children that outlived it
        try:
            job = self.store.job(job.id)
        except NotFound:  # deleted meanwhile
            return
        if job.status is not Status.RUNNING or job.stopping:
            return
        folder = self.store.folder(job.id)
        if not folder.damage():
            self.store.finish(job.id, Status.SUCCESS, size=folder.size_bytes())
        elif ended.failure:
            self.store.finish(job.id, Status.FAILED, ended.failure.message, ended.failure.kind, folder.size_bytes())
        elif job.attempts < self.executors.of(job).attempts:
            self.store.interrupted(job.id, ended.cause)
        else:
            self.store.finish(job.id, Status.FAILED, ended.cause, FailureKind.KILLED, folder.size_bytes())


if __name__ == "__main__":
    main()
