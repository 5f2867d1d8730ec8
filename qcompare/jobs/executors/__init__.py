"""Where jobs run. `EXECUTORS` holds them by name; the setting `executor` chooses the one for new jobs."""

from collections.abc import Iterable

from qcompare.export.target import remove_draft
from qcompare.jobs.executors.base import Executor
from qcompare.registry import Registry
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job

EXECUTORS: Registry[type[Executor]] = Registry(
    "qcompare.executors",
    "executor",
    {
        "local": "qcompare.jobs.executors.local:LocalExecutor",
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
