"""A process with the libraries of jobs imported, from which jobs are forked (`python -m`, by the supervisor).

Importing torch, transformers and lm-eval takes seconds; a fork takes milliseconds. The process computes nothing: no
OpenMP threads and no CUDA context exist that a fork would break. It ends when the supervisor does, at the other end
of its pipe; jobs that it forked go on. Only on Linux: elsewhere system libraries do not survive a fork.
"""

import ctypes
import gc
import os
import subprocess
import sys
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import psutil

from qcompare.jobs import worker
from qcompare.jobs.executors import title
from qcompare.jobs.executors.processes import MARK, child_environment, mark
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job

FORKSERVER = (sys.executable, "-m", "qcompare.jobs.executors.forkserver")
PRELOAD = ("torch", "transformers", "lm_eval.evaluator", "lm_eval.models.huggingface", "datasets", "pandas")
"""Imported before the first fork. Not auto_round and llmcompressor: they patch transformers when they are imported,
and jobs that do not use them must not see that. Most of what they import themselves is among these."""
READY_SECONDS = 180.0
"""For the imports, on a slow disk."""
FORK_SECONDS = 10.0
REAP_SECONDS = 0.1
NO_CUDA_CONTEXT = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
"""`torch.cuda.is_available()`, which libraries ask when they are imported, then initializes no driver."""
CUDA_ERROR_NOT_INITIALIZED = 3


class ForkServer:
    """The supervisor's end: starts the process when the first job comes, and again when it has died."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Connection | None = None
        self._codes: dict[int, int] = {}
        self._usable = sys.platform.startswith("linux")

    def fork(self, job: Job) -> psutil.Process | None:
        """A process that works on a job; None where none can be forked."""
        if not self._usable:
            return None
        try:
            channel = self._channel or self._start()
            folder = self._store.folder(job.id)
            channel.send((job.id, str(folder.path), str(folder.log), mark(self._store.home, job.id)))
            while not isinstance(answer := self._receive(channel, FORK_SECONDS), int):
                self._codes.update([answer])
            self._codes.pop(answer, None)
            return psutil.Process(answer)
        except (OSError, EOFError, TimeoutError, psutil.NoSuchProcess) as error:
            print(
                f"no process to fork jobs from ({error!r}): {job.id} is started afresh", file=sys.stderr, flush=True
            )
            self.close()
            return None

    def exit_code(self, pid: int) -> int | None:
        """How a forked process that has ended did so; None for those of another server."""
        try:
            while self._channel and pid not in self._codes:
                self._codes.update([self._receive(self._channel, 10 * REAP_SECONDS)])
        except TimeoutError:
            return None
        except (OSError, EOFError):
            self.close()
        return self._codes.pop(pid, None)

    def close(self) -> None:
        """Let the process end; jobs go on."""
        if self._channel:
            self._channel.close()
        if self._process:
            self._process.terminate()
            self._process.wait()
        self._channel = self._process = None

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        own = {"PYTHONUNBUFFERED": "1", MARK: title.blank_mark(self._store.home), **NO_CUDA_CONTEXT}
        self._process = subprocess.Popen(
            [*FORKSERVER, str(theirs.fileno()), title.BLANK_ARGUMENT],
            env=child_environment(self._settings) | own,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        self._channel = ours
        self._usable = False  # one that cannot begin once is not tried again; one that dies later is
        self._receive(ours, READY_SECONDS)
        self._usable = True
        return ours

    @staticmethod
    def _receive(channel: Connection, seconds: float) -> Any:
        """The next message: the pid of a forked process, or (pid, exit code) of one that ended."""
        if not channel.poll(seconds):
            raise TimeoutError(f"no answer in {seconds:g} s")
        return channel.recv()


def serve(channel: Connection) -> str | None:
    """Fork a process for each job that comes.

    Returns:
        In a forked process: the id of its job. In the server: None, when the supervisor is gone.
    """
    try:
        channel.send("ready")
        while True:
            if channel.poll(REAP_SECONDS):
                job_id, folder, log, job_mark = channel.recv()
                if (pid := os.fork()) == 0:
                    channel.close()
                    _become(job_id, folder, log, job_mark)
                    return str(job_id)
                channel.send(pid)
            while (ended := _ended_child()) is not None:
                channel.send(ended)
    except (EOFError, OSError):
        return None


def _become(job_id: str, folder: str, log: str, job_mark: str) -> None:
    """What `subprocess.Popen` would do: a session, a folder, a log and an environment of its own."""
    os.setsid()
    os.environ[MARK] = job_mark
    for name in NO_CUDA_CONTEXT:
        os.environ.pop(name, None)
    title.set_title(["python", "-m", worker.__name__, job_id], job_mark)
    os.chdir(folder)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)


def _ended_child() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, os.waitstatus_to_exitcode(status)) if pid else None


def _cuda_begun() -> bool:
    """Something has initialized the CUDA driver, which a fork would break."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return int(driver.cuDeviceGetCount(ctypes.byref(ctypes.c_int()))) != CUDA_ERROR_NOT_INITIALIZED


def main(descriptor: str) -> int:
    """Serve until the supervisor is gone, or, in a forked process, do the job."""
    channel = Connection(int(descriptor))
    for name in PRELOAD:
        import_module(name)
    if _cuda_begun():
        return 1
    gc.collect()
    gc.freeze()  # the collector of a forked process leaves these objects alone, so their memory stays shared
    job_id = serve(channel)
    return worker.main(job_id) if job_id else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
