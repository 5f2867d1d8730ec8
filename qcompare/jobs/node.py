"""One job on a node of a cluster: `python -m qcompare.jobs.node URL`, where URL is the job's folder (`transfer`).

A node knows that folder and nothing else: no index, no supervisor, no home of the machine that asked. What it
fetches and can use again (models, layer scores) is kept in a home of the node's own, `$QCOMPARE_NODE_HOME` or the
user's cache folder. While the job runs, its log, its progress and its signs of life are copied to the folder; when
the job is taken back, or asked for anew, the process ends itself.
"""

import json
import logging
import os
import platform
import shutil
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path

import psutil
from platformdirs import user_cache_path

from qcompare.errors import JobError
from qcompare.evaluate.row_budget import RemoteBudget
from qcompare.evaluate.tasks import questions
from qcompare.jobs.executors.heartbeat import start_heartbeat
from qcompare.jobs.executors.transfer import (
    EVENTS,
    LOG,
    ORDER,
    OUTCOME,
    PROBE,
    PULSE,
    JobOrder,
    Outcome,
    Transfer,
    code_version,
)
from qcompare.jobs.failures import explain
from qcompare.jobs.measure import about_this_study, measure
from qcompare.jobs.run import Shared
from qcompare.models.devices import environment_of
from qcompare.settings import Settings
from qcompare.store import JobFolder
from qcompare.store.cache import Cache
from qcompare.store.moving import replace

COPY_SECONDS = 1.0
"""Between two copies of the log and the progress into a folder."""
REMOTE_COPY_SECONDS = 5.0
"""The same to a URL, where each copy is a request."""
TAKEN_BACK = 3
"""Exit code of a process whose job is no longer wanted."""


def main(url: str) -> int:
    """Do the job, or answer a probe, and leave the outcome in its folder."""
    if hasattr(signal, "SIGUSR2"):
        signal.signal(
            signal.SIGUSR2, signal.SIG_IGN
        )  # a batch system's warning, meant for the process that started us
    place = Transfer(url)
    if place.read(ORDER) is None:
        if place.read(PROBE) is None:
            return TAKEN_BACK  # it waited for a node for so long
        place.write(PROBE, json.dumps(describe_node()).encode())
        return 0
    order = place.order()
    home = node_home()
    folder = JobFolder(_own_folder(home / "jobs" / order.job.study_id, order.job.id))
    for name in (LOG, EVENTS):  # of the same attempt, which the cluster preempted: they go on
        if begun := place.read(name):
            (folder.path / name).write_bytes(begun)
    _redirect_output(folder.log)
    copies = Copies(place, folder, order.attempt)
    copies.start()
    try:
        outcome = _work(place, order, folder, home)
        copies.stop()
        for name in outcome.files:
            place.put(folder.published / name, f"result/{name}")
        if place.is_wanted(order.attempt):
            place.write(OUTCOME, outcome.model_dump_json().encode())
        return 1 if outcome.error else 0
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)


def node_home() -> Path:
    """Where a node keeps what it can use again."""
    given = os.environ.get("QCOMPARE_NODE_HOME")
    return Path(given).absolute() if given else user_cache_path("qcompare") / "node"


def _own_folder(parent: Path, job_id: str) -> Path:
    """An empty folder for this process; those that killed ones of this machine left are removed."""
    beginning = f"{job_id}.{socket.gethostname()}."
    for left in parent.glob(f"{beginning}*"):
        pid = left.name.removeprefix(beginning)
        if not (pid.isdigit() and psutil.pid_exists(int(pid))):
            shutil.rmtree(left, ignore_errors=True)
    folder = parent / f"{beginning}{os.getpid()}"
    folder.mkdir(parents=True)
    return folder


def describe_node() -> Mapping[str, str]:
    """What must be the same on every machine, for `doctor`."""
    return {"host": socket.gethostname(), "python": platform.python_version(), "code": code_version()}


def _work(place: Transfer, order: JobOrder, folder: JobFolder, home: Path) -> Outcome:
    attempt = order.attempt
    try:
        if order.code != code_version():
            raise JobError(
                "{host} has qcompare {here}, and {asked} asked: install the same on all machines",
                host=socket.gethostname(),
                here=code_version(),
                asked=order.code,
            )
        settings = _settings(order, home)
        _fetch_files(place, order, home)
        job = order.job.model_copy(update={"device": _device(order)})
        os.environ.update(environment_of("cpu" if settings.device == "cpu" else job.device or ""))
        os.chdir(folder.path)  # where libraries leave their files
        logging.getLogger("autoround").addFilter(about_this_study)
        start_heartbeat(folder, job.device)
        root, _, study = place.url.rpartition("/")[0].rpartition("/studies/")
        shared = Shared(Cache(home / "kept", f"{root}/kept"), RemoteBudget(f"{root}/studies/{study}"))
        measure(order.study, job, folder, settings, shared)
    except Exception as error:
        traceback.print_exc()
        failure = explain(error)
        print(failure.message, file=sys.stderr, flush=True)
        return Outcome(attempt=attempt, error=failure.message, failure=failure.kind)
    files = [path for path in folder.published.rglob("*") if path.is_file()]
    return Outcome(attempt=attempt, files=tuple(str(path.relative_to(folder.published)) for path in files))


def _settings(order: JobOrder, home: Path) -> Settings:
    """Those of the job, in a home of the node's; other modules read them from the environment."""
    values = dict(order.settings)
    if not Path(values.get("bundle_dir", "")).is_dir():
        values.pop("bundle_dir", None)
    if order.gpus == 0:
        values["device"] = "cpu"
    settings = Settings(home=home, **values)
    os.environ.update(settings.environment())
    return settings


def _fetch_files(place: Transfer, order: JobOrder, home: Path) -> None:
    """Question files of the machine that asked, which the study names by their paths there."""
    for path, name in order.files.items():
        copy = home / "files" / order.job.study_id / name
        if not copy.exists():
            draft = copy.with_name(f"{os.getpid()}.draft")
            place.get(f"files/{name}", draft)
            copy.parent.mkdir(parents=True, exist_ok=True)
            replace(draft, copy)
        questions.COPIES[Path(path)] = copy


def _device(order: JobOrder) -> str | None:
    """The GPUs of a job that holds several, by the numbers that the cluster gave; one is found by `pick_device`."""
    if order.gpus < 2:
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(order.gpus)))
    return f"cuda:{visible}"


def _redirect_output(log: Path) -> None:
    """Let this process and its children print into the job's log."""
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    sys.stdout.flush()
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)


class Copies:
    """Copies of what a job writes while it runs, made by a thread beside it; ends the process of an unwanted job."""

    def __init__(self, place: Transfer, folder: JobFolder, attempt: str) -> None:
        self._place, self._folder, self._attempt = place, folder, attempt
        self._seconds = COPY_SECONDS if place.is_folder else REMOTE_COPY_SECONDS
        self._copied: dict[str, tuple[int, int]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="copies", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Copy what is new, for the last time.

        Raises:
            OSError: it cannot be copied.
        """
        self._ended.set()
        self._thread.join()
        self._copy()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                if not self._place.is_wanted(self._attempt):
                    end_process_tree()
                self._copy()
            except Exception as error:  # the network is gone for a moment: the job goes on
                print(f"cannot copy the progress to {self._place.url}: {error!r}", file=sys.stderr, flush=True)

    def _copy(self) -> None:
        for name in (LOG, EVENTS, PULSE):
            path = self._folder.path / name
            if not path.exists():
                continue
            state = (path.stat().st_mtime_ns, path.stat().st_size)
            if self._copied.get(name) != state:
                self._place.put(path, name)
                self._copied[name] = state


def end_process_tree() -> None:
    """End this process and all that it started, at once."""
    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    os._exit(TAKEN_BACK)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
