"""An executor of somebody else's package, and what every executor can rely on."""

import os
from pathlib import Path

import pytest

from qcompare.errors import InvalidStudy
from qcompare.jobs.control import cancel
from qcompare.jobs.executors import EXECUTORS, Executors
from qcompare.jobs.executors.background import ensure_running
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Status
from tests.jobs.conftest import ours, running, succeeded, wait
from tests.jobs.standin import queue

TOY = '''
import subprocess
import sys

from qcompare.jobs.executors.base import Ended, Executor


class ToyExecutor(Executor):
    """Runs jobs one after the other in screen-less shells, and keeps what they print to itself until it is asked."""

    started = {}

    def devices(self):
        return ("toy:0",)

    def run(self, job):
        folder = self.store.folder(job.id).path
        command = [sys.executable, "-m", "tests.jobs.standin", "worker", job.id]
        with (folder / "toy.txt").open("wb") as output:
            self.started[job.id] = subprocess.Popen(command, stdout=output, stderr=output)
        return f"toy {self.started[job.id].pid}"

    def status(self, job):
        code = self.started[job.id].poll()
        return None if code is None else Ended(f"the toy broke with code {code}")

    def stop(self, jobs):
        for job in jobs:
            import os, signal, time
            pid = int(job.handle.split()[1])
            while True:
                try:
                    os.kill(pid, signal.SIGKILL)
                    if job.id in self.started:
                        self.started[job.id].wait()
                except ProcessLookupError:
                    break
                time.sleep(0.05)

    def logs(self, job):
        folder = self.store.folder(job.id)
        folder.log.write_bytes((folder.path / "toy.txt").read_bytes())
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package, installed by a folder on the module path, with an entry point for an executor."""
    folder = tmp_path / "packages"
    (folder / "toy-1.0.dist-info").mkdir(parents=True)
    (folder / "toy.py").write_text(TOY)
    (folder / "toy-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (folder / "toy-1.0.dist-info" / "entry_points.txt").write_text("[qcompare.executors]\ntoy = toy:ToyExecutor\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("QCOMPARE_EXECUTOR", "toy")
    EXECUTORS.__dict__.pop("_found", None)
    yield
    EXECUTORS.__dict__.pop("_found", None)


@pytest.mark.usefixtures("toy")
def test_an_executor_of_another_package_runs_jobs(store: Store) -> None:
    settings = Settings()
    study = queue(store, ("bf16", "uniform"), steps=30)
    ensure_running(settings)
    job = running(store, f"{study.id}.bf16")
    assert (job.executor, job.device) == ("toy", "toy:0")
    assert succeeded(wait(store, study.id))
    assert "== stepping" in store.folder(job.id).log_tail()


@pytest.mark.usefixtures("toy")
def test_a_job_is_stopped_by_the_executor_that_runs_it_whatever_the_setting_says_now(store: Store) -> None:
    study = queue(store, steps=1000)
    ensure_running(Settings())
    running(store, f"{study.id}.bf16")
    stopped = cancel(study.id, Settings(executor="local"))
    assert [job.status for job in stopped] == [Status.CANCELLED]
    assert ours(store.home, "standin worker") == []


def test_an_unknown_executor_is_refused_with_the_names_of_those_there_are(store: Store) -> None:
    with pytest.raises(InvalidStudy, match="local"):
        _ = Executors(store, Settings(executor="nowhere")).default
