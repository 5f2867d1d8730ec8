"""Hands queued jobs to devices: `python -m qcompare.jobs.supervisor`, one a home, by lock.

A process of its own, so that jobs outlive the app and the command line that queued them. It ends by itself when the
queue is empty. When it dies, its jobs go on; the app, a watching command line, or a job that ends starts another one
(`ensure_running`), which takes over what it finds.
"""

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from qcompare.errors import JobError, NotFound
from qcompare.jobs.processes import alive, child_environment, find_worker, start_worker, stop
from qcompare.models.devices import job_devices
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job, Status
from qcompare.words import gettext_noop

SUPERVISOR = (sys.executable, "-m", "qcompare.jobs.supervisor")
POLL_SECONDS = 0.2
WATCH_SECONDS = 1.0
"""Of the app and a watching command line, between two looks whether a supervisor is at work."""
IDLE_SECONDS = 5.0
"""A supervisor without work waits this long for more."""
TROUBLE_SECONDS = 1.0
MAX_ATTEMPTS = 2
"""Processes started for a job before its death is final: it is continued by itself once."""


def ensure_running(settings: Settings) -> None:
    """Start a supervisor for this home unless one holds the lock."""
    try:
        _lock(settings.home).acquire(timeout=0)
    except Timeout:
        return
    _lock(settings.home).release(force=True)
    with (settings.home / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            SUPERVISOR,
            env=child_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Somebody must take note of its end, or it stays behind as a zombie.
    threading.Thread(target=process.wait, name="supervisor-reaper", daemon=True).start()


def watch_over(settings: Settings) -> None:
    """As long as this process lives, start another supervisor whenever there is work and none does it."""
    threading.Thread(target=_watch_over, args=[settings], name="supervisor-watch", daemon=True).start()


def _watch_over(settings: Settings) -> None:
    while True:
        try:
            if Store(settings.home).work_left():
                ensure_running(settings)
        except (sqlite3.Error, OSError) as error:  # a full disk: look again later
            print(error, file=sys.stderr, flush=True)
        time.sleep(WATCH_SECONDS)


def main() -> None:
    """Run queued jobs until none is left."""
    settings = Settings()
    store = Store(settings.home)
    lock = _lock(settings.home)
    while True:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return  # another supervisor is at work
        try:
            Supervisor(store, settings).work()
        finally:
            lock.release()
        # A study queued just before the release found the lock held: look once more.
        if not store.work_left():
            return


class Supervisor:
    """The loop that starts and watches jobs, one a device."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.devices = job_devices(settings.device)
        self.running: dict[str, tuple[Job, psutil.Process]] = {}

    def work(self) -> None:
        """Return when nothing has run or waited for a while."""
        self._adopt()
        idle_since = time.monotonic()
        while time.monotonic() - idle_since < IDLE_SECONDS:
            try:
                self._step()
            except (sqlite3.OperationalError, OSError, JobError) as error:
                if not self.store.home.exists():
                    return  # somebody removed it, with all its jobs
                # A full disk, a process that does not die: the jobs that run go on, and it is tried again.
                print(error, file=sys.stderr, flush=True)
                time.sleep(TROUBLE_SECONDS)
            if self.running:
                idle_since = time.monotonic()
            time.sleep(POLL_SECONDS)

    def _step(self) -> None:
        for device in list(self.running):
            self._end_finished(device)
        self._stop_asked()
        for device in self.devices:
            if device not in self.running and (job := self.store.claim(device)):
                self._start(job, device)

    def _start(self, job: Job, device: str) -> None:
        process = start_worker(job, self.store, self.settings)
        if self.store.started(job.id, process.pid, process.create_time()):
            self.running[device] = (job, process)
        else:  # cancelled in this very moment
            process.kill()
            process.wait()

    def _adopt(self) -> None:
        """Take over what an earlier supervisor left: live processes are watched, the ends of dead ones noted."""
        for job in self.store.jobs(status=Status.RUNNING):
            process = find_worker(job, self.store.home)
            if process is None:
                self._note_end(job, None)
                continue
            if job.pid != process.pid:  # the earlier one died before it could note it
                self.store.started(job.id, process.pid, process.create_time())
            self.running[job.device or self.devices[0]] = (job, process)

    def _end_finished(self, device: str) -> None:
        job, process = self.running[device]
        code = process.poll() if isinstance(process, psutil.Popen) else None
        if code is None and alive(process):
            return
        self._note_end(job, code)
        del self.running[device]

    def _stop_asked(self) -> None:
        """Whoever asks for a stop does it; this finishes what a dead one began."""
        if jobs := self.store.stopping():
            stop(jobs, self.store.home)
            for job in jobs:
                self.store.stopped(job.id)

    def _note_end(self, job: Job, code: int | None) -> None:
        """A worker notes its own end; this says what happened to one that could not, and continues it once."""
        try:
            job = self.store.job(job.id)
        except NotFound:  # deleted meanwhile
            return
        stop([job], self.store.home)  # children that outlived it
        if job.status is not Status.RUNNING or job.stopping:
            return
        folder = self.store.folder(job.id)
        if not folder.damage():
            self.store.finish(job.id, Status.SUCCESS, size=folder.size_bytes())
        elif job.attempts < MAX_ATTEMPTS:
            self.store.interrupted(job.id, cause(code))
        else:
            self.store.finish(job.id, Status.FAILED, cause(code), "killed", folder.size_bytes())


def cause(code: int | None) -> str:
    """How a process ended that could not say so itself, in words."""
    if code is None:
        return gettext_noop("its process is gone: killed, or the machine was restarted")
    if code in (-9, 137):
        return gettext_noop("its process was killed by the system, most likely because memory ran out")
    if code < 0:
        return f"its process was ended by signal {-code}"
    return f"its process ended with code {code} before the result was complete"


def _lock(home: Path) -> FileLock:
    home.mkdir(parents=True, exist_ok=True)
    return FileLock(home / "supervisor.lock")


if __name__ == "__main__":
    main()
