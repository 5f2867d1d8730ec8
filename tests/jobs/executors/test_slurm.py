"""Slurm through submitit, whose local cluster runs its processes on this machine."""

import json
import os
from pathlib import Path

import psutil
import pytest

from qcompare.errors import InvalidStudy
from qcompare.jobs.control import cancel, resume
from qcompare.jobs.executors import Executors
from qcompare.jobs.executors.background import ensure_running
from qcompare.jobs.executors.remote import Handle
from qcompare.jobs.executors.slurm import SlurmExecutor
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job, Status
from tests.jobs.conftest import succeeded, until, wait
from tests.jobs.standin import queue

submitit = pytest.importorskip("submitit")


@pytest.fixture
def slurm(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of submitit's local cluster."""
    monkeypatch.setenv("QCOMPARE_NODE_HOME", str(tmp_path / "node"))
    monkeypatch.setenv("QCOMPARE_EXECUTOR", "slurm")
    monkeypatch.setenv("QCOMPARE_EXECUTOR_OPTIONS", json.dumps({"cluster": "local", "jobs": 2}))
    return Settings()


def stepped(store: Store, job_id: str) -> Job:
    """The job, as soon as it has finished two steps."""
    until(lambda: (seen := store.folder(job_id).progress()) and seen.done >= 2, 400)
    return store.job(job_id)


def task_of(job: Job) -> psutil.Process:
    """submitit's process that runs a job, a child of its controller."""
    controller = psutil.Process(int(Handle.model_validate_json(job.handle or "").id))
    return next(each for each in controller.children() if "submitit.core._submit" in each.cmdline())


def test_a_preempted_job_is_put_back_and_goes_on(store: Store, slurm: Settings) -> None:
    study = queue(store, ("bf16", "uniform"), steps=12, seconds=0.3)
    ensure_running(slurm)
    job = stepped(store, f"{study.id}.bf16")
    task_of(job).send_signal(submitit.core.job_environment.JobEnvironment._usr_sig())
    jobs = wait(store, study.id, 400)
    assert succeeded(jobs), [str(job.error) for job in jobs]
    assert [job.attempts for job in jobs] == [1, 1]  # submitit did it, no supervisor
    log = store.folder(job.id).log_tail()
    assert log.count("begins with") == 2
    assert log.count("begins with 0 steps") == 1


def test_a_cancelled_job_is_gone_and_resumes(store: Store, slurm: Settings) -> None:
    study = queue(store, steps=1000, seconds=0.2)
    ensure_running(slurm)
    job = stepped(store, f"{study.id}.bf16")
    task = task_of(job)
    family = [task, *task.children(recursive=True)]
    assert [each.status for each in cancel(study.id, slurm)] == [Status.CANCELLED]
    until(lambda: not any(each.is_running() and each.status() != "zombie" for each in family), 120)
    resume(study.id, slurm)
    stepped(store, job.id)
    assert "begins with 0 steps" not in store.folder(job.id).log_tail().partition("begins")[2].partition("\n")[2]
    cancel(study.id, slurm)


STUBS = {
    "sbatch": "echo Submitted batch job 7",
    "srun": "",
    "sacct": "printf 'JobID|State|NodeList\\n7|%s|n1\\n' $(cat $STATE)",
    "scancel": "echo CANCELLED > $STATE",
    "sinfo": "echo slurm 24.11",
}
"""Slurm's commands, as far as submitit reads what they print."""


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stubs, first on the path; returns the file that holds the job's state."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, line in STUBS.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    state = tmp_path / "state"
    state.write_text("PENDING")
    monkeypatch.setenv("STATE", str(state))
    return state


def test_a_job_asks_slurm_for_what_it_holds_and_follows_its_state(store: Store, commands: Path) -> None:
    options = json.dumps({"partition": "gpu", "mem_gb": 64, "parameters": {"slurm_account": "me"}})
    executor = SlurmExecutor(store, Settings(executor_options=options))
    assert executor.reach() == "slurm 24.11, submitit"
    queue(store)
    job = store.claim("slurm:0,1")
    assert job
    store.started(job.id, "slurm", executor.run(job))
    job = store.job(job.id)
    script = Path(executor.root) / "submitit" / "7_submission.sh"
    asked = [line.removeprefix("#SBATCH --") for line in script.read_text().splitlines() if "#SBATCH" in line]
    for wanted in ("gpus-per-node=2", "cpus-per-task=4", "mem=64GB", "time=1440", "partition=gpu", "account=me"):
        assert wanted in asked, asked
    assert executor.status(job) is None
    commands.write_text("RUNNING")
    assert executor.ended("7") is None
    executor.stop([job])
    assert commands.read_text().strip() == "CANCELLED"
    assert str(executor.ended("7")) == "Slurm says CANCELLED of its job 7"


def test_wrong_options_are_refused_before_anything_is_queued(store: Store) -> None:
    for wrong in ("{", '{"partitions": "gpu"}'):
        with pytest.raises(InvalidStudy, match=r"executor_options: .*partition"):
            _ = Executors(store, Settings(executor="slurm", executor_options=wrong)).default
    with pytest.raises(InvalidStudy, match="a folder that all nodes share"):
        _ = Executors(store, Settings(executor="slurm", executor_folder="memory://bucket")).default
