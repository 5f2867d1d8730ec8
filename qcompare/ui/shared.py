"""What all browsers of one app share, so that twenty-five of them cost little more than one."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from threading import Lock
from typing import TypeVar, cast

from qcompare.store import Store
from qcompare.study.records import Job, Status, StudyRecord
from qcompare.study.result import Result

T = TypeVar("T")
MAX_AGE_SECONDS = 2.0
"""An answer is never older, whatever the files' times say."""


class Memory:
    """The newest answers, by key."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._answers: OrderedDict[Hashable, object] = OrderedDict()
        self._lock = Lock()

    def answer(self, key: Hashable, find: Callable[[], T]) -> T:
        """The remembered answer, or a found one, which is remembered."""
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                return cast(T, self._answers[key])
        found = find()
        with self._lock:
            self._answers[key] = found
            while len(self._answers) > self._size:
                self._answers.popitem(last=False)
        return found


class SharedStore(Store):
    """A store whose answers are remembered until the index changes."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._memory = Memory(200)

    def jobs(self, study_id: str | None = None, status: Status | None = None, exports: bool = False) -> list[Job]:
        """As `Store.jobs`."""
        key = ("jobs", study_id, status, exports)
        return self._remembered(key, lambda: Store.jobs(self, study_id, status, exports))

    def studies(self) -> list[StudyRecord]:
        """As `Store.studies`."""
        return self._remembered(("studies",), lambda: Store.studies(self))

    def study(self, study_id: str) -> StudyRecord:
        """As `Store.study`."""
        return self._remembered(("study", study_id), lambda: Store.study(self, study_id))

    def results(self, study_id: str) -> list[Result]:
        """As `Store.results`."""
        return self._remembered(("results", study_id), lambda: Store.results(self, study_id))

    def _remembered(self, key: tuple[object, ...], find: Callable[[], T]) -> T:
        moment = int(time.monotonic() / MAX_AGE_SECONDS)
        return self._memory.answer((*key, self.version(), moment), find)
