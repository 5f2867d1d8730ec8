"""What executors share whose jobs run on other machines: the job's folder goes there and comes back (`transfer`), and
`python -m qcompare.jobs.node` does the work. An executor of this kind adds how to start, find and end that process.
"""

import json
import secrets
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import ValidationError

from qcompare.errors import InvalidStudy, JobError, QCompareError
from qcompare.evaluate.tasks.questions import SUFFIXES
from qcompare.jobs.executors import transfer
from qcompare.jobs.executors.base import Ended, Executor
from qcompare.jobs.executors.probe import check_nodes
from qcompare.jobs.executors.transfer import (
    EVENTS,
    LOG,
    ORDER,
    PULSE,
    JobOrder,
    Transfer,
    code_version,
)
from qcompare.jobs.failures import Failure
from qcompare.models.devices import split_ids
from qcompare.plan.doctor import Finding
from qcompare.settings import Settings
from qcompare.store import JobFolder, Store
from qcompare.study.frozen import Frozen
from qcompare.study.records import Job, Pulse
from qcompare.study.task import is_file
from qcompare.words import Message, verbatim

LOOK_SECONDS = 1.0
"""Between two looks at a job's folder."""
REMOTE_LOOK_SECONDS = 5.0
"""The same where each look is some requests."""
GONE_SECONDS = 600.0
"""A cluster that has not answered for so long is given up, with the jobs that ran there."""
STOP_SECONDS = 30.0
LOG_TAIL = 4000
"""Characters of what a process printed that never came to writing the job's log."""
SETTINGS = ("dtype", "row_tokens", "trust_remote_code", "allow_unsafe_weights", "offline", "bundle_dir")
"""Those of `Settings` that a node takes over, and the kind of device."""

O = TypeVar("O", bound=Frozen)  # noqa: E741


class Unreachable(JobError):
    """The cluster does not answer; the job may still run there."""


class Handle(Frozen):
    """By what a job is found again."""

    id: str
    """Of the cluster."""
    attempt: str
    """As in its order."""
    log: int
    """Bytes of the job's log here before this attempt."""
    events: int


class RemoteExecutor(Executor):
    """Jobs on machines that reach a folder or an fsspec URL which this one reaches too (`executor_folder`)."""

    attempts: ClassVar[int] = 4
    writes_checkpoints: ClassVar[bool] = False
    ask_seconds: ClassVar[float] = 2.0
    """Between two questions to the cluster how a job stands; the job's folder usually says it before."""
    grace_seconds: ClassVar[float] = 0.0
    """From the end of a process until what it wrote last is seen here."""

    def __init__(self, store: Store, settings: Settings) -> None:
        super().__init__(store, settings)
        self.root = settings.executor_folder or str(settings.home / "cluster")
        self._looked: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._refused: dict[str, Message] = {}
        self._answered = time.monotonic()
        self._pause = LOOK_SECONDS if Transfer(self.root).is_folder else REMOTE_LOOK_SECONDS

    @abstractmethod
    def start(self, command: Sequence[str], name: str, gpus: int) -> str:
        """Have the cluster run a command with its Python, as `-m module argument`.

        Returns:
            The id by which the cluster knows it.

        Raises:
            QCompareError: it cannot be started.
        """

    @abstractmethod
    def ended(self, id: str) -> Message | None:
        """How a process ended; None while it waits or runs.

        Raises:
            Unreachable: the cluster does not answer.
        """

    @abstractmethod
    def end(self, id: str) -> None:
        """Ask the cluster to end a process, and return at once.

        Raises:
            Unreachable: the cluster does not answer.
        """

    @abstractmethod
    def output(self, id: str) -> str:
        """What a process printed."""

    @abstractmethod
    def reach(self) -> str:
        """Ask the cluster something, and say in a few words what it is.

        Raises:
            QCompareError: its library is missing, or it does not answer.
        """

    def node_url(self, place: Transfer) -> str:
        """A job's folder as its node sees it."""
        return place.url

    def gpus(self, job: Job) -> int:
        """GPUs that a job is to hold: as many as it was given devices."""
        return len(split_ids(job.device or ""))

    def run(self, job: Job) -> str:
        """Put the job's folder where nodes find it, and start a process for it."""
        self._refused.pop(job.id, None)
        self._ended.pop(job.id, None)
        folder, place = self.store.folder(job.id), Transfer.of(self.root, job)
        folder.path.mkdir(parents=True, exist_ok=True)
        try:
            place.remove()
            order = self._order(job)
            for path, name in order.files.items():
                place.put(Path(path), f"files/{name}")
            place.write(ORDER, order.model_dump_json().encode())
            id = self.start([*transfer.NODE, self.node_url(place)], job.id, order.gpus)
        except (QCompareError, OSError) as error:
            self._refused[job.id] = error.message if isinstance(error, QCompareError) else verbatim(str(error))
            raise
        return Handle(
            id=id, attempt=order.attempt, log=_size(folder.log), events=_size(folder.events)
        ).model_dump_json()

    def _order(self, job: Job) -> JobOrder:
        study = self.store.study(job.study_id).spec
        values = self.settings.model_dump(mode="json", include=set(SETTINGS), exclude_none=True)
        questions = [name for name in study.tasks if is_file(name) and Path(name).suffix.lower() in SUFFIXES]
        return JobOrder(
            code=code_version(),
            attempt=secrets.token_hex(8),
            job=job,
            study=study,
            settings=values | {"device": self.settings.device.partition(":")[0]},
            gpus=self.gpus(job),
            files={path: f"{number}/{Path(path).name}" for number, path in enumerate(questions)},
        )

    def logs(self, job: Job) -> None:
        """Bring log, progress and signs of life into the job's folder."""
        if job.handle and self._is_time(f"{job.id} logs", self._pause):
            self._bring(job, Transfer.of(self.root, job))

    def _is_time(self, what: str, pause: float) -> bool:
        now = time.monotonic()
        if now - self._looked.get(what, -pause) < pause:
            return False
        self._looked[what] = now
        return True

    def _bring(self, job: Job, place: Transfer) -> None:
        handle, folder = _handle(job), self.store.folder(job.id)
        for name, before in ((LOG, handle.log), (EVENTS, handle.events)):
            path = folder.path / name
            if new := place.read(name, start=max(0, _size(path) - before)):
                with path.open("ab") as file:
                    file.write(new)
        _beat(folder, place.read(PULSE))

    def status(self, job: Job) -> Ended | None:
        """None until there is an outcome, or the cluster says that the process ended without one."""
        if job.handle is None:
            return Ended(self._refused.get(job.id) or Message("the supervisor died while it was being started"))
        if not self._is_time(job.id, self._pause):
            return None
        now, handle, place = time.monotonic(), _handle(job), Transfer.of(self.root, job)
        if found := self._outcome(job, place):
            return found
        if not (job.id in self._ended or self._is_time(f"{job.id} cluster", self.ask_seconds)):
            return None
        try:
            cause = self.ended(handle.id)
            self._answered = time.monotonic()
        except Unreachable as error:
            return Ended(error.message) if now - self._answered > GONE_SECONDS else None
        if cause is None or now - self._ended.setdefault(job.id, now) < self.grace_seconds:
            return None
        # what it wrote between the two looks
        return self._outcome(job, place) or self._died(job, handle, place, cause)

    def _outcome(self, job: Job, place: Transfer) -> Ended | None:
        outcome = place.outcome(_handle(job).attempt)
        if outcome is None:
            return None
        self._bring(job, place)
        if outcome.error is not None:
            return Ended(outcome.error, Failure(outcome.failure, outcome.error))
        wrong = place.fetch_result(outcome, self.store.folder(job.id))
        return Ended(Message("its result did not arrive: {reason}", {"reason": wrong or ""}))

    def _died(self, job: Job, handle: Handle, place: Transfer, cause: Message) -> Ended:
        self._bring(job, place)
        folder = self.store.folder(job.id)
        if _size(folder.log) <= handle.log:  # it never came to writing there: the library is missing, or the folder
            with folder.log.open("a", encoding="utf-8") as log:
                log.write(self.output(handle.id)[-LOG_TAIL:] + "\n")
        return Ended(cause)

    def stop(self, jobs: Sequence[Job]) -> None:
        """Take jobs back and end their processes.

        A cluster that does not answer is no error: without the job's folder, the process ends by itself.
        """
        for job in jobs:
            place = Transfer.of(self.root, job)
            if job.handle is None:
                place.remove()
                continue
            handle = _handle(job)
            done = place.outcome(handle.attempt) is not None
            self._bring(job, place)
            place.take_back()
            with suppress(Unreachable):
                if not done and job.id not in self._ended and self.ended(handle.id) is None:
                    self._end(handle.id)
            place.remove()

    def _end(self, id: str) -> None:
        limit = time.monotonic() + STOP_SECONDS
        self.end(id)
        while self.ended(id) is None:
            if time.monotonic() > limit:
                raise JobError("{id} does not end: end it by the cluster's own means", id=id)
            time.sleep(0.2)

    def check(self) -> Iterator[Finding]:
        """Library, cluster, folder, and what a node is."""
        try:
            yield Finding("cluster", True, self.reach())
        except QCompareError as error:
            yield Finding("cluster", False, str(error))
            return
        yield from check_nodes(self)

    def options(self, kind: type[O]) -> O:
        """The setting `executor_options`.

        Raises:
            InvalidStudy: it is no JSON, or holds what this executor does not know.
        """
        try:
            return kind.model_validate_json(self.settings.executor_options or "{}")
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidStudy(
                "executor_options: {place}: {problem}; it takes {known} as JSON",
                place=".".join(map(str, first["loc"])) or self.settings.executor_options,
                problem=first["msg"],
                known=", ".join(kind.model_fields),
            ) from None


def slots(name: str, number: int) -> tuple[str, ...]:
    """Names for what a cluster runs at once; each stands for a GPU, where it has any."""
    return tuple(f"{name}:{index}" for index in range(number))


def missing(extra: str, library: str) -> QCompareError:
    """For a library that is not installed."""
    return QCompareError("{library} is not installed: pip install 'qcompare[{extra}]'", library=library, extra=extra)


def _handle(job: Job) -> Handle:
    return Handle.model_validate_json(job.handle or "")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _beat(folder: JobFolder, data: bytes | None) -> None:
    """Note a sign of life by the clock of this machine, when it is a new one."""
    try:
        pulse: Mapping[str, Any] = json.loads(data or b"")
        mark = folder.path / "pulse.remote"
        if not mark.exists() or mark.read_text(encoding="utf-8") != str(pulse["time"]):
            mark.write_text(str(pulse["time"]), encoding="utf-8")
            folder.beat(Pulse.model_validate({**pulse, "time": time.time()}))
    except (ValueError, KeyError):  # it is being written
        return
