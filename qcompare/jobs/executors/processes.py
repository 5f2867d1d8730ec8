"""The processes of a job: started in a session of their own, found again after a restart, stopped with all children.

Every process of a job carries a mark in its environment, which children inherit. So they are found also when nobody
noted their pid in time, when their parent has died, or when they left their session.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from qcompare.errors import JobError
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job

WORKER = (sys.executable, "-m", "qcompare.jobs.worker")
MARK = "QCOMPARE_JOB"
GRACE_SECONDS = 2.0
"""From TERM to KILL."""
KILL_SECONDS = 2.0
"""From KILL until a process is called unkillable (it hangs in the kernel)."""
POLL_SECONDS = 0.05
SAME_START_SECONDS = 1.0
"""Two readings of one process's start time differ by less."""


def start_worker(job: Job, store: Store, settings: Settings) -> psutil.Popen:
    """Start a job's process; it outlives ours."""
    folder = store.folder(job.id)
    with folder.log.open("ab") as log:
        return psutil.Popen(
            [*WORKER, job.id],
            env=child_environment(settings) | {"PYTHONUNBUFFERED": "1", MARK: mark(store.home, job.id)},
            cwd=folder.path,  # where libraries leave their files
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **own_session(),
        )


def own_session() -> dict[str, Any]:
    """Arguments of `subprocess.Popen` for a process that outlives ours and that no key of our terminal reaches.

    On Windows: a process group and a console of its own that nobody sees; its children then open none either.
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def child_environment(settings: Settings) -> dict[str, str]:
    """Environment of a process of ours: the settings, this code first on the module path, UTF-8 in files and output
    whatever the system's encoding; no job's mark."""
    root = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    own = {name: value for name, value in os.environ.items() if name != MARK}
    return own | settings.environment() | {"PYTHONPATH": path, "PYTHONUTF8": "1"}


def mark(home: Path, job_id: str) -> str:
    """What the processes of a job carry; copies of a home have the same job ids."""
    return f"{home.absolute()}:{job_id}"


def alive(process: psutil.Process) -> bool:
    """It exists, under this start time, and is no zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def find_worker(job: Job, home: Path) -> psutil.Process | None:
    """The live main process of a job that an earlier supervisor started."""
    noted = _noted(job)
    if noted:
        return noted
    return next((process for process in _marked([mark(home, job.id)]) if _command(process)[-1:] == [job.id]), None)


def members(jobs: Sequence[Job], home: Path) -> list[psutil.Process]:
    """All live processes of jobs: marked ones, and whatever else descends from their main processes."""
    found = {process.pid: process for process in _marked([mark(home, job.id) for job in jobs])}
    for leader in filter(None, map(_noted, jobs)):
        found[leader.pid] = leader
        try:
            found |= {child.pid: child for child in leader.children(recursive=True)}
        except psutil.NoSuchProcess:
            continue
    return [process for process in found.values() if alive(process) and process.pid != os.getpid()]


def stop(jobs: Sequence[Job], home: Path) -> None:
    """TERM to every process of these jobs, KILL to what is left after a grace period; returns when all are gone.

    Raises:
        JobError: one cannot be killed.
    """
    _signal(members(jobs, home), signal.SIGTERM)
    left = _wait(jobs, home, GRACE_SECONDS)
    end = time.monotonic() + KILL_SECONDS
    while left and time.monotonic() < end:
        _signal(left, getattr(signal, "SIGKILL", signal.SIGTERM))
        left = _wait(jobs, home, 0.2)
    if left:
        pids = ", ".join(str(process.pid) for process in left)
        raise JobError(
            "process {pids} cannot be killed: it hangs in the system; only a restart of the machine helps", pids=pids
        )


def _wait(jobs: Sequence[Job], home: Path, seconds: float) -> list[psutil.Process]:
    """The processes that are left when all are gone or the time is up; new children are seen too."""
    end = time.monotonic() + seconds
    watched = members(jobs, home)
    while time.monotonic() < end:
        watched = [process for process in watched if alive(process)]
        if not watched and not (watched := members(jobs, home)):
            return []
        time.sleep(POLL_SECONDS)
    return members(jobs, home)


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        try:
            process.send_signal(number)
            if number == signal.SIGTERM and hasattr(signal, "SIGCONT"):
                process.send_signal(signal.SIGCONT)  # a stopped process takes no TERM
        except psutil.Error:
            continue  # gone, or on Windows about to go; `stop` sees what is left


def handle_of(process: psutil.Process) -> str:
    """What the index keeps of a process; its start time tells it from a later one with the same pid."""
    return json.dumps({"pid": process.pid, "started": process.create_time()})


def _noted(job: Job) -> psutil.Process | None:
    """The process in the index, if it is still that one."""
    if job.handle is None:
        return None
    noted = json.loads(job.handle)
    try:
        process = psutil.Process(noted["pid"])
        same = abs(process.create_time() - noted["started"]) < SAME_START_SECONDS
        return process if same and alive(process) else None
    except psutil.Error:  # gone, or the pid is another user's now
        return None


def _marked(marks: Sequence[str]) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) in marks and alive(process):
                yield process
        except (psutil.Error, OSError):
            continue  # gone, a zombie, or another user's


def owner(pid: int, home: Path) -> str | None:
    """The id of the job that a process belongs to; None for a process of somebody else."""
    try:
        found = psutil.Process(pid).environ().get(MARK, "")
    except (psutil.Error, OSError):
        return None
    return found.removeprefix(mark(home, "")) if found.startswith(mark(home, "")) else None


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
