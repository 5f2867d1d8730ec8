"""What runs jobs: `run`, `status`, `stop`, `logs`, after the executors of NeMo Evaluator's launcher.

The store and the job's folder are the only link between a job and those who watch it, wherever it runs: an executor
starts `python -m qcompare.jobs.worker JOB_ID` with `Settings.environment()` where the home can be reached, or
elsewhere `python -m qcompare.jobs.node URL` (`remote`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from qcompare.jobs.failures import Failure
from qcompare.models.devices import job_devices
from qcompare.plan.doctor import Finding
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job
from qcompare.words import Message


@dataclass(frozen=True)
class Ended:
    """A job that runs no more."""

    cause: Message
    """How its process ended; shown only when the job could not publish a result or an error itself."""
    failure: Failure | None = None
    """What the job itself said, where it could not note that in the index: trying again would not help."""


class Executor(ABC):
    """Runs jobs of one home. Any process may make one, to stop jobs or to ask how they are."""

    attempts: ClassVar[int] = 2
    """Times that a job is started before the death of its process is final."""
    writes_checkpoints: ClassVar[bool] = True
    """Whether jobs find the folder of this machine into which a checkpoint is to be written; else those run here."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings

    def devices(self) -> tuple[str, ...]:
        """Ids of the devices that take one job each at a time: those of `models.devices`, which a worker makes the
        only ones that its process sees, or names of its own, which mean nothing to a worker.

        Asked again every few seconds: a cluster may grow and shrink.

        Raises:
            InvalidStudy: the setting `device` names no kind of device.
        """
        return job_devices(self.settings.device)

    @abstractmethod
    def run(self, job: Job) -> str:
        """Start a job that was claimed, and return at once.

        Returns:
            A handle, which the index keeps as `Job.handle`: this executor finds the job by it later.
        """

    @abstractmethod
    def status(self, job: Job) -> Ended | None:
        """None while the job runs.

        Asked also for jobs that an earlier supervisor started, and whose handle it may not have noted.
        """

    @abstractmethod
    def stop(self, jobs: Sequence[Job]) -> None:
        """End jobs with all their processes; return when they are gone. One that has ended already is no error.

        Raises:
            JobError: one cannot be ended.
        """

    def logs(self, job: Job) -> None:  # noqa: B027  most executors need none
        """Bring what the job printed into `log.txt` in its folder. Called often; by default, the job writes there."""

    def check(self) -> Iterator[Finding]:
        """What `qcompare doctor --executor NAME` prints."""
        yield Finding("devices", True, ", ".join(self.devices()))

    def close(self) -> None:  # noqa: B027
        """Free what starting jobs needs. Jobs that run go on."""
