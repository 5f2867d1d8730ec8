"""A job's folder on its way to a node of a cluster and back: below a folder or an fsspec URL that both sides reach.

    studies/STUDY/row_tokens            agreed by the nodes of a study (`evaluate.row_budget`)
    studies/STUDY/JOB/job.json          what is to be done (`JobOrder`); a node works on it as long as it is there
    studies/STUDY/JOB/files/            question files that the study names
    studies/STUDY/JOB/log.txt, events.jsonl, pulse.json     copied there every moment
    studies/STUDY/JOB/result/, outcome.json                 the end
    kept/                               scores and answers, for later attempts and studies (`store.row_files`)

The home stays where it is: no node opens its index.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs
from pydantic import ValidationError

from qcompare import __version__
from qcompare.errors import JobError
from qcompare.store import JobFolder, seal
from qcompare.store.cache import source_digest
from qcompare.store.moving import replace
from qcompare.study.frozen import Frozen
from qcompare.study.messages import StoredMessage
from qcompare.study.records import FailureKind, Job
from qcompare.study.spec import STORED, Study
from qcompare.words import verbatim

ORDER, OUTCOME, LOG, EVENTS, PULSE = "job.json", "outcome.json", "log.txt", "events.jsonl", "pulse.json"
NODE = ("-m", "qcompare.jobs.node")
"""What runs on a node, with the job's URL."""
PROBE = "probe.json"
"""In place of an order: a node writes what it is into it."""


def code_version() -> str:
    """Version of this qcompare, with a hash of its source files: two machines that give the same compute the same."""
    return f"{__version__} {source_digest('qcompare')[:12]}"


class JobOrder(Frozen):
    """All that a node is told."""

    code: str
    """Version and hash of the code that asks; a node with another refuses."""
    attempt: str
    """A random name: an earlier attempt that still runs somewhere finds another one, and ends."""
    job: Job
    study: Study
    settings: dict[str, Any]
    """Those of `Settings` that decide what is computed."""
    gpus: int
    """That the job holds; 0 on CPUs."""
    files: dict[str, str] = {}  # noqa: RUF012  pydantic copies defaults
    """Path on the machine that asks → name below `files/`."""


class Outcome(Frozen):
    """How an attempt ended on its node."""

    attempt: str
    files: tuple[str, ...] = ()
    """Of the result; none where it failed."""
    error: StoredMessage | None = None
    failure: FailureKind | None = None


class Transfer:
    """One job below the shared folder, seen from either side."""

    def __init__(self, url: str) -> None:
        """
        Raises:
            JobError: there is no such kind of URL, or its library is missing.
        """
        try:
            self.fs, self.path = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise JobError("{url}: cannot be used ({reason})", url=url, reason=str(error)) from None
        self.url = url

    @staticmethod
    def of(root: str, job: Job) -> "Transfer":
        """That of a job."""
        return Transfer(f"{root.rstrip('/')}/studies/{job.study_id}/{job.id}")

    def read(self, name: str, start: int = 0) -> bytes | None:
        """A file, from an offset on; None where there is none."""
        file = f"{self.path}/{name}"
        try:
            with self._reaching():
                self.fs.invalidate_cache()
                if start and self.fs.size(file) <= start:
                    return b""
                return bytes(self.fs.cat_file(file, start=start or None))
        except FileNotFoundError:
            return None

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Give the errors of many libraries one form."""
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:
            reason = verbatim(" ".join(str(error).split())[:300] or repr(error))
            raise JobError("{url} cannot be reached ({reason})", url=self.url, reason=reason) from error

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of this machine, where a look costs next to nothing."""
        return "file" in self.fs.protocol

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole."""
        target = f"{self.path}/{name}"
        with self._reaching():
            self.fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self.fs.pipe_file(target, data)

    def put(self, path: Path, name: str) -> None:
        """Copy a file there."""
        target = f"{self.path}/{name}"
        with self._reaching():
            self.fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self.fs.put_file(str(path), target)

    def get(self, name: str, path: Path) -> None:
        """Copy a file from there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._reaching():
            self.fs.get_file(f"{self.path}/{name}", str(path))

    def take_back(self) -> None:
        """Remove the order: a node that works on it ends within moments."""
        with suppress(FileNotFoundError), self._reaching():
            self.fs.rm(f"{self.path}/{ORDER}")

    def remove(self) -> None:
        """Remove the folder, as far as no node writes into it just now."""
        self.take_back()
        with suppress(OSError, JobError), self._reaching():
            self.fs.invalidate_cache()
            self.fs.rm(self.path, recursive=True)

    def order(self) -> JobOrder:
        """What is to be done.

        Raises:
            JobError: the job was taken back, or its order is of another version.
        """
        data = self.read(ORDER)
        if data is None:
            raise JobError("{url}: there is no job: it was taken back", url=self.url)
        try:
            return JobOrder.model_validate_json(data, context=STORED)
        except ValidationError as error:
            raise JobError(
                "{url}: cannot be read as a job ({reason}): install the same qcompare on both machines",
                url=self.url,
                reason=str(error).splitlines()[0],
            ) from None

    def is_wanted(self, attempt: str) -> bool:
        """Whether the machine that asked still waits for this attempt."""
        data = self.read(ORDER)
        with suppress(ValueError):  # it is being written
            return data is not None and json.loads(data)["attempt"] == attempt
        return True

    def outcome(self, attempt: str) -> Outcome | None:
        """How an attempt ended; None as long as it has not, or a node was stopped in the middle of it."""
        data = self.read(OUTCOME)
        try:
            found = Outcome.model_validate_json(data) if data else None
        except ValidationError:  # it is being written
            return None
        return found if found and found.attempt == attempt else None

    def fetch_result(self, outcome: Outcome, folder: JobFolder) -> str | None:
        """Publish the result of an attempt in the home's folder of the job.

        Returns:
            What is wrong with it, in a few words; None when it came whole.
        """
        draft = folder.path / f".draft-{outcome.attempt}"
        try:
            for name in outcome.files:
                self.get(f"result/{name}", draft / name)
            if (wrong := seal.damage(draft)) is None:
                shutil.rmtree(folder.published, ignore_errors=True)
                replace(draft, folder.published)
            return wrong
        except FileNotFoundError:
            return "it is not complete"
        finally:
            shutil.rmtree(draft, ignore_errors=True)
