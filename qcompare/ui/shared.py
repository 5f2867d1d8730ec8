"""What all browsers of one app share, so that twenty-five of them cost little more than one."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from threading import Lock
from typing import TypeVar, cast

from qcompare.errors import NotFound, unknown
from qcompare.store import Store
from qcompare.store.queue import NO_JOB
from qcompare.study.records import Job, Status, StudyRecord
from qcompare.study.result import Result
from qcompare.study.vote import Vote
from qcompare.ui.server.roles import visitor
from qcompare.words import gettext_noop

T = TypeVar("T")
MAX_AGE_SECONDS = 2.0
"""An answer is never older, whatever the files' times say."""


class Memory:
    """The newest answers, by key."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._answers: OrderedDict[Hashable, object] = OrderedDict()
        self._sought: dict[Hashable, Lock] = {}
        self._lock = Lock()

    def answer(self, key: Hashable, find: Callable[[], T]) -> T:
        """The remembered answer, or a found one, which is remembered; who asks meanwhile waits for that."""
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                return cast(T, self._answers[key])
            sought = self._sought.setdefault(key, Lock())
        with sought:
            with self._lock:
                if key in self._answers:
                    return cast(T, self._answers[key])
            try:
                found = find()
                with self._lock:
                    self._answers[key] = found
                    while len(self._answers) > self._size:
                        self._answers.popitem(last=False)
                return found
            finally:
                with self._lock:
                    self._sought.pop(key, None)


class SharedStore(Store):
    """A store whose answers are remembered until the index changes. Studies of other visitors are not there."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._memory = Memory(200)

    def jobs(self, study_id: str | None = None, status: Status | None = None, exports: bool = False) -> list[Job]:
        """As `Store.jobs`."""
        key = ("jobs", study_id, status, exports)
        found = self._remembered(key, lambda: Store.jobs(self, study_id, status, exports))
        hidden = self._hidden()
        return [job for job in found if job.study_id not in hidden] if hidden else found

    def job(self, job_id: str) -> Job:
        """As `Store.job`."""
        of_its_study = self.jobs(job_id.partition(".")[0], exports=True)  # remembered, unlike that there is none
        found = next((job for job in of_its_study if job.id == job_id), None)
        if found is None:
            raise NotFound(NO_JOB, job_id=job_id)
        return found

    def studies(self) -> list[StudyRecord]:
        """As `Store.studies`."""
        found, hidden = self._all(), self._hidden()
        return [study for study in found if study.id not in hidden] if hidden else found

    def study(self, study_id: str) -> StudyRecord:
        """As `Store.study`."""
        if not (hidden := self._hidden()):
            return self._remembered(("study", study_id), lambda: Store.study(self, study_id))
        ids = [study.id for study in self._all() if study.id not in hidden]
        found = [study_id] if study_id in ids else [each for each in ids if study_id and each.startswith(study_id)]
        if len(found) != 1:
            raise NotFound(unknown(gettext_noop("study"), study_id, ids[:5]))
        return self._remembered(("study", found[0]), lambda: Store.study(self, found[0]))

    def results(self, study_id: str) -> list[Result]:
        """As `Store.results`."""
        if study_id in self._hidden():
            return []
        return self._remembered(("results", study_id), lambda: Store.results(self, study_id))

    def votes(self, studies: str) -> list[Vote]:
        """As `Store.votes`."""
        return self._remembered(("votes", studies), lambda: Store.votes(self, studies))

    def newest(self) -> str | None:
        """As `Store.newest`."""
        return next((study.id for study in self.studies() if not study.asked_of), None)

    def asked_of(self, study_id: str) -> list[StudyRecord]:
        """As `Store.asked_of`."""
        found = [study for study in self.studies() if study.asked_of == study_id]
        return sorted(found, key=lambda study: study.created)

    def view(self) -> Hashable:
        """What tells this visitor's screen from that of others: rights, and studies that only this visitor sees."""
        who = visitor()
        return (
            who.name,
            who.rights,
            tuple(study.id for study in self._all() if study.owner and study.owner == who.key),
        )

    def _all(self) -> list[StudyRecord]:
        return self._remembered(("studies",), lambda: Store.studies(self))

    def _hidden(self) -> set[str]:
        """Ids of studies that only other visitors see; the owner of the machine sees all."""
        who = visitor()
        if who.home is None:
            return set()
        return {study.id for study in self._all() if study.owner and study.owner != who.key}

    def _remembered(self, key: tuple[object, ...], find: Callable[[], T]) -> T:
        moment = int(time.monotonic() / MAX_AGE_SECONDS)
        return self._memory.answer((*key, self.version(), moment), find)
