"""Hands queued jobs to devices: `python -m qcompare.jobs.supervisor`, one a home, by lock.

A process of its own, so that jobs outlive the app and the command line that queued them. It ends by itself when the
queue is empty; whoever queues a study calls `ensure_running`.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from qcompare.jobs.devices import job_devices
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job, Status

POLL_SECONDS = 0.2
IDLE_SECONDS = 5.0
"""A supervisor without work waits this long for more."""


def ensure_running(settings: Settings) -> None:
    """Start a supervisor for this home unless one holds the lock."""
    try:
        _lock(settings.home).acquire(timeout=0)
    except Timeout:
        return
    _lock(settings.home).release(force=True)
    with (settings.home / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "qcompare.jobs.supervisor"],
            env=child_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Somebody must take note of its end, or it stays behind as a zombie.
    threading.Thread(target=process.wait, name="supervisor-reaper", daemon=True).start()


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
        if not store.jobs(status=Status.QUEUED):
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
            for device in self.devices:
                self._end_finished(device)
                if device not in self.running and (job := self.store.claim(device)):
                    self.running[device] = (job, self._start(job, device))
            if self.running:
                idle_since = time.monotonic()
            time.sleep(POLL_SECONDS)

    def _start(self, job: Job, device: str) -> psutil.Process:
        folder = self.store.folder(job.id)
        folder.path.mkdir(parents=True, exist_ok=True)
        with folder.log.open("ab") as log:
            process = psutil.Popen(
                [sys.executable, "-m", "qcompare.jobs.worker", job.id],
                env=child_environment(self.settings) | {"PYTHONUNBUFFERED": "1"},
                cwd=folder.path,  # where libraries leave their files
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a process group of its own
            )
        self.store.started(job.id, process.pid, process.create_time())
        return process

    def _adopt(self) -> None:
        """Take over what an earlier supervisor left: live processes are watched, dead ones marked."""
        for job in self.store.jobs(status=Status.RUNNING):
            process = _alive(job)
            if process and job.device:
                self.running[job.device] = (job, process)
            else:
                self._note_end(job, None)

    def _end_finished(self, device: str) -> None:
        if device not in self.running:
            return
        job, process = self.running[device]
        try:
            code = process.wait(timeout=0)
        except psutil.TimeoutExpired:
            return
        del self.running[device]
        self._note_end(job, code)

    def _note_end(self, job: Job, code: int | None) -> None:
        """A worker notes its own end; this says what happened to one that could not."""
        if self.store.folder(job.id).result_file.exists():
            self.store.finish(job.id, Status.SUCCESS)
        else:
            self.store.finish(job.id, Status.FAILED, _cause(code))


def child_environment(settings: Settings) -> dict[str, str]:
    """Environment of a process of ours: the settings, and this code first on the module path."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return os.environ | settings.environment() | {"PYTHONPATH": path}


def _lock(home: Path) -> FileLock:
    home.mkdir(parents=True, exist_ok=True)
    return FileLock(home / "supervisor.lock")


def _alive(job: Job) -> psutil.Process | None:
    if job.pid is None:
        return None
    try:
        process = psutil.Process(job.pid)
        same = abs(process.create_time() - (job.pid_started or 0)) < 1.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _cause(code: int | None) -> str:
    if code is None:
        return "its process is gone (the machine or qcompare was restarted): run the study again"
    if code in (-9, 137):
        return "killed by the system, most likely out of memory: choose a smaller model or free memory"
    return f"its process ended with code {code} before the result was complete: see the log"


if __name__ == "__main__":
    main()
