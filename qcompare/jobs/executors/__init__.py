"""Where jobs run. `EXECUTORS` holds them by name; the setting `executor` chooses the one for new jobs."""

from collections.abc import Iterable

from qcompare.export.target import remove_draft
from qcompare.jobs.executors.base import Executor
from qcompare.registry import Registry
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job

LOCAL = "local"
EXECUTORS: Registry[type[Executor]] = Registry(
    "qcompare.executors",
    "executor",
    {
        LOCAL: "qcompare.jobs.executors.local:LocalExecutor",
        "ray": "qcompare.jobs.executors.ray:RayExecutor",
        "slurm": "qcompare.jobs.executors.slurm:SlurmExecutor",
        "hf": "qcompare.jobs.executors.hf:HubExecutor",
    },
)


class Executors:
    """The executors of a home's jobs, each made when it is first needed."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._made: dict[str, Executor] = {}

    @property
    def default(self) -> Executor:
        """The one for new jobs.

        Raises:
            InvalidStudy: there is none of that name.
        """
        return self._named(self._settings.executor)

    def for_new(self, job: Job) -> tuple[str, Executor]:
        """The one that is to run a waiting job, with its name: the default, or this machine for what it cannot do.

        Raises:
            InvalidStudy: there is none of that name.
        """
        name = self._settings.executor
        if job.export and not self.default.writes_checkpoints:
            name = LOCAL
        return name, self._named(name)

    def of(self, job: Job) -> Executor:
        """The one that runs a job."""
        return self._named(job.executor or self._settings.executor)

    def stop(self, jobs: Iterable[Job]) -> None:
        """End jobs, and return when their processes are gone, and the drafts of checkpoints too.

        Raises:
            JobError: one cannot be ended.
        """
        of: dict[Executor, list[Job]] = {}
        for job in jobs:
            of.setdefault(self.of(job), []).append(job)
        for executor, its in of.items():
            executor.stop(its)
            for job in its:
                if job.export:
                    remove_draft(job.export)

    def close(self) -> None:
        """Free what starting jobs needs."""
        for executor in self._made.values():
            executor.close()

    def _named(self, name: str) -> Executor:
        if name not in self._made:
            self._made[name] = EXECUTORS[name](self._store, self._settings)
        return self._made[name]
