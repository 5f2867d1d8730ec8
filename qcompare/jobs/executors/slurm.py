"""Jobs on a Slurm cluster, through submitit: https://github.com/facebookincubator/submitit

A job that Slurm preempts, or that reaches its time limit, is put back into the queue by submitit, and goes on from
the scores that are kept. Files of submitit lie in `submitit/` below the shared folder, which must be a folder.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import psutil

from qcompare.errors import InvalidStudy, JobError
from qcompare.jobs.executors.processes import child_environment, own_session
from qcompare.jobs.executors.remote import RemoteExecutor, Unreachable, missing, slots
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.frozen import Frozen
from qcompare.study.records import Job
from qcompare.words import Message

NAMES = "submitit"


class SlurmOptions(Frozen):
    """The setting `executor_options` of Slurm."""

    jobs: int = 16
    """In Slurm's queue at a time."""
    gpu: bool = True
    """Whether jobs ask for GPUs; not where the setting `device` is `cpu`."""
    cpus_per_task: int = 4
    mem_gb: float | None = None
    timeout_min: int = 24 * 60
    partition: str | None = None
    parameters: dict[str, Any] = {}  # noqa: RUF012  pydantic copies defaults
    """Further ones of submitit: `slurm_account`, `slurm_qos`, `slurm_constraint`, `slurm_setup` …"""
    cluster: Literal["slurm", "local"] = "slurm"
    """`local`: as submitit's processes on this machine, to try it out."""


class NodeCommand:
    """What submitit runs: a command with this Python, which it can run again after a preemption (`checkpoint`)."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.command, self.environment = list(command), environment

    def __call__(self) -> int:
        """Run it to its end."""
        # a session of its own: the warnings that Slurm sends are meant for submitit
        process = subprocess.Popen(
            [sys.executable, *self.command], env=os.environ | self.environment, **own_session()
        )
        try:
            return process.wait()
        finally:
            _kill(process.pid)

    def checkpoint(self) -> Any:
        """The same once more: what was computed is kept by the job itself."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmExecutor(RemoteExecutor):
    """Slurm decides when and where; `jobs` may wait there."""

    ask_seconds = 30.0

    def __init__(self, store: Store, settings: Settings) -> None:
        """
        Raises:
            QCompareError: submitit is not installed, the options are not those of Slurm, or the folder is a URL.
        """
        if find_spec("submitit") is None:
            raise missing("slurm", "submitit")
        super().__init__(store, settings)
        self.chosen = self.options(SlurmOptions)
        if "://" in self.root:
            raise InvalidStudy(
                "executor_folder: Slurm needs a folder that all nodes share, got {folder}", folder=self.root
            )
        self._jobs: dict[str, Any] = {}

    def devices(self) -> tuple[str, ...]:
        """As many as may be in Slurm's queue."""
        return slots("slurm", self.chosen.jobs)

    def gpus(self, job: Job) -> int:
        """None where jobs are to run on CPUs."""
        on_gpu = self.chosen.gpu and self.settings.device != "cpu" and self.chosen.cluster == "slurm"
        return super().gpus(job) if on_gpu else 0

    def start(self, command: Sequence[str], name: str, gpus: int) -> str:
        """Submit it with `sbatch`."""
        executor = self._executor()
        parameters: dict[str, Any] = {
            "name": name,
            "gpus_per_node": gpus,
            "cpus_per_task": self.chosen.cpus_per_task,
            "timeout_min": self.chosen.timeout_min,
            "mem_gb": self.chosen.mem_gb,
            "slurm_partition": self.chosen.partition,
        }
        given = {key: value for key, value in parameters.items() if value is not None} | self.chosen.parameters
        paths = {"PYTHONPATH": child_environment(self.settings)["PYTHONPATH"]}
        try:
            executor.update_parameters(**given)
            job = executor.submit(NodeCommand(command, paths))
        except Exception as error:  # submitit's own, sbatch's, and of wrong parameters
            raise JobError("Slurm refuses the job: {reason}", reason=" ".join(str(error).split())[:300]) from None
        self._jobs[job.job_id] = job
        return str(job.job_id)

    def ended(self, id: str) -> Message | None:
        """From Slurm's state."""
        job = self._job(id)
        if self.chosen.cluster == "local" and job._process is None:
            if psutil.pid_exists(int(id)):  # another process of ours started it
                return None
        elif not job.done(force_check=True):
            return None
        return Message("Slurm says {state} of its job {id}", {"state": str(job.state), "id": id})

    def end(self, id: str) -> None:
        """`scancel`; without the job's folder, a local process ends by itself."""
        self._job(id).cancel(check=False)

    def output(self, id: str) -> str:
        """What submitit's process printed."""
        job = self._job(id)
        return "\n".join(filter(None, [job.stdout(), job.stderr()]))

    def reach(self) -> str:
        """Slurm's version."""
        if self.chosen.cluster == "local":
            return "submitit on this machine"
        try:
            done = subprocess.run(
                ["sinfo", "--version"], capture_output=True, encoding="utf-8", timeout=30, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise Unreachable("Slurm does not answer ({reason})", reason=str(error)) from None
        return f"{done.stdout.strip()}, submitit"

    def _folder(self) -> Path:
        return Path(self.root) / NAMES

    def _executor(self) -> Any:
        import submitit

        return submitit.AutoExecutor(folder=self._folder(), cluster=self.chosen.cluster)

    def _job(self, id: str) -> Any:
        """submitit's object for a job, also of one that another process submitted."""
        import submitit

        if id not in self._jobs:
            kind = submitit.LocalJob if self.chosen.cluster == "local" else submitit.SlurmJob
            self._jobs[id] = kind(self._folder(), id)
        return self._jobs[id]


def _kill(pid: int) -> None:
    try:
        process = psutil.Process(pid)
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for each in family:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
