"""A study as one file: packed from one home, opened in another, where it is read-only and has the same pages.

A zip archive: `study.json` (a `Packed`), and beside it each job's folder with its log, events and published result.
All jobs answer the same questions, so a solid archive, one compressed as a whole, is much smaller: that is such an
archive within another, `study.zip`.
"""

import json
import lzma
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from qcompare.errors import InvalidStudy, QCompareError
from qcompare.store.index import Store
from qcompare.store.moving import replace
from qcompare.study.frozen import Frozen
from qcompare.study.records import Job, Status
from qcompare.study.refusals import refusal
from qcompare.study.result import SCHEMA_VERSION
from qcompare.study.secrets import redact_bytes
from qcompare.study.spec import Study

ENDING = ".qcompare.zip"
RECORD = "study.json"
WHOLE = "study.zip"
"""The archive within a solid one."""
PER_JOB = (
    "log.txt",
    "events.jsonl",
    "result/result.json",
    "result/samples.parquet",
    "result/layers.json",
    "result/next_tokens.json",
    "result/seal.json",
)
"""What is packed of a job's folder."""
TEXTS = ("log.txt", "events.jsonl")
"""Not sealed: tokens in them are masked."""
ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
"""Of a study; a job's adds a dot, its recipe and its budget."""
DEVICE = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)
"""Files of these names are devices on Windows, whatever ending they have."""
JOB_ID = re.compile(r"[\w-]+(\.[\w-]+)+", re.ASCII)
MAX_UNPACKED_BYTES = 4_000_000_000
MAX_RECORD_BYTES = 20_000_000
MAX_FILES = 20_000
UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError)
"""What reading a damaged, encrypted or strangely packed archive raises, and writing to a full disk."""


class Packed(Frozen):
    """What a packed study is, besides its files."""

    schema_version: int = SCHEMA_VERSION
    id: str
    name: str
    created: float
    tags: tuple[str, ...]
    notes: str = ""
    spec: Study
    jobs: tuple[Job, ...]


def pack(store: Store, study_id: str, target: Path, solid: bool = False) -> Path:
    """Write a study into one file.

    Args:
        target: the file, or a folder to put it into.
        solid: compress all files together: smaller, slower, and not every unzip program opens it.

    Raises:
        NotFound: there is no such study.
        InvalidStudy: it is not finished.
        QCompareError: the file cannot be written.
    """
    study = store.study(study_id)
    jobs = store.jobs(study.id)
    if not study.status.ended:
        raise InvalidStudy("study {study} is not finished: wait for it, or cancel the rest", study=study.id)
    record = Packed(
        id=study.id, name=study.name, created=study.created, tags=study.tags, notes=study.notes, spec=study.spec,
        jobs=tuple(jobs),
    )  # fmt: skip
    path = target / f"{study.id}{ENDING}" if target.is_dir() else target
    draft = path.with_name(f".{path.name}.draft")
    try:
        with _written(draft, solid) as archive:
            archive.writestr(RECORD, record.model_dump_json(indent=1, exclude=None if study.notes else {"notes"}))
            for job in jobs:
                for name in PER_JOB:
                    file = store.folder(job.id).path / name
                    if file.is_file() and name in TEXTS:
                        archive.writestr(f"{job.id}/{name}", redact_bytes(file.read_bytes()))
                    elif file.is_file():
                        archive.write(file, f"{job.id}/{name}")
        replace(draft, path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise QCompareError(
            "{path}: cannot be written ({reason}): choose another place", path=path, reason=error.strerror
        ) from None
    return path


@contextmanager
def _written(path: Path, solid: bool) -> Iterator[zipfile.ZipFile]:
    """The archive to put files into."""
    if not solid:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            yield archive
        return
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / WHOLE
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
            yield archive
        with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
            archive.write(whole, WHOLE)


@contextmanager
def _read(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive that holds the files, out of a solid one if need be."""
    with zipfile.ZipFile(path) as archive:
        if WHOLE not in archive.namelist():
            yield archive
            return
        _check_size(archive.getinfo(WHOLE).file_size, path)
        with tempfile.TemporaryFile() as file:
            with archive.open(WHOLE) as whole:
                shutil.copyfileobj(whole, file)
            with zipfile.ZipFile(file) as inner:
                yield inner


def unpack(store: Store, path: Path) -> str:
    """Take a packed study into a store, read-only; gives its id.

    Raises:
        QCompareError: it is no packed study, is damaged, came from a newer qcompare, or is already here.
    """
    try:
        with _read(path) as archive:
            record = _read_record(archive, path)
            files = _checked(archive, record, path)
            if record.id.casefold() in {study.id.casefold() for study in store.studies()}:
                raise InvalidStudy(
                    "study {study} is already here: delete it first to import it again", study=record.id
                )
            _extract(store, record.id, archive, files)
    except UNREADABLE as error:
        raise QCompareError(
            "{file}: cannot be read as a packed study ({reason}), nothing imported", file=path.name, reason=error
        ) from None
    for job in record.jobs:
        damage = store.folder(job.id).damage() if job.status is Status.SUCCESS else None
        if damage:
            store.remove_files(record.id)
            raise QCompareError(
                "{file}: the result of {job} is damaged, {damage}; nothing was imported",
                file=path.name,
                job=job.id,
                damage=damage,
            )
    store.study_folder(record.id).joinpath("study.yaml").write_text(record.spec.to_yaml(), encoding="utf-8")
    here = [job.model_copy(update={"size_bytes": store.folder(job.id).size_bytes()}) for job in record.jobs]
    store.add_imported(record.id, record.name, record.created, record.tags, record.spec, here)
    if record.notes:
        store.note(record.id, notes=record.notes)
    return record.id


def _extract(
    store: Store, study_id: str, archive: zipfile.ZipFile, files: list[tuple[str, str, zipfile.ZipInfo]]
) -> None:
    try:
        for job_id, name, member in files:
            target = store.folder(job_id).path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file)
    except UNREADABLE:
        store.remove_files(study_id)
        raise


def _read_record(archive: zipfile.ZipFile, path: Path) -> Packed:
    try:
        if archive.getinfo(RECORD).file_size > MAX_RECORD_BYTES:
            raise QCompareError(
                "{file}: its {record} is larger than {most} MB; refused",
                file=path.name,
                record=RECORD,
                most=f"{MAX_RECORD_BYTES / 1e6:.0f}",
            )
        values = json.loads(archive.read(RECORD))
    except (KeyError, ValueError, RecursionError):
        raise QCompareError(
            "{file}: is no packed study: it holds no readable {record}", file=path.name, record=RECORD
        ) from None
    version = values.get("schema_version") if isinstance(values, dict) else None
    if version != SCHEMA_VERSION:
        raise QCompareError(
            "{file}: has schema version {version}, this qcompare reads {known}",
            file=path.name,
            version=version,
            known=SCHEMA_VERSION,
        )
    try:
        return Packed.model_validate(values)
    except ValidationError as error:
        raise QCompareError(
            "{file}: is no packed study: {reason}", file=path.name, reason=refusal(error.errors()[0])
        ) from None


def _checked(archive: zipfile.ZipFile, record: Packed, path: Path) -> list[tuple[str, str, zipfile.ZipInfo]]:
    """(job id, name, member) of the files to take; names that point elsewhere are refused, whoever made the file."""
    allowed = {f"{job.id}/{name}": (job.id, name) for job in record.jobs for name in PER_JOB}
    named = [job.id for job in record.jobs if JOB_ID.fullmatch(job.id) and job.id.startswith(f"{record.id}.")]
    different = len({job.id.casefold() for job in record.jobs}) == len(record.jobs)
    plain = ID.fullmatch(record.id) and not DEVICE.fullmatch(record.id) and different
    members = [member for member in archive.infolist() if member.filename != RECORD]
    strange = next((member.filename for member in members if member.filename not in allowed), None)
    if strange or not plain or len(named) < len(record.jobs) or len(members) > MAX_FILES:
        raise QCompareError(
            "{file}: holds a file that belongs to no job ({name}); refused",
            file=path.name,
            name=f"{strange or record.id!r}",
        )
    if running := next((job.id for job in record.jobs if not job.status.ended), None):
        raise QCompareError("{file}: its job {job} has not ended; refused", file=path.name, job=running)
    _check_size(sum(member.file_size for member in members), path)
    return [(*allowed[member.filename], member) for member in members]


def _check_size(size: int, path: Path) -> None:
    """Refuse what would take too many bytes unpacked."""
    if size > MAX_UNPACKED_BYTES:
        raise QCompareError(
            "{file}: would take more than {most} GB; refused",
            file=path.name,
            most=f"{MAX_UNPACKED_BYTES / 1e9:.0f}",
        )
