"""The index of studies and jobs: SQLite in WAL mode, every change of state in a transaction."""

import json
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from qcompare.errors import NotFound, unknown
from qcompare.store.folders import JobFolder
from qcompare.study.records import Job, Result, Status, StudyRecord
from qcompare.study.spec import Study, parse_study

SCHEMA = """
CREATE TABLE IF NOT EXISTS study (id TEXT PRIMARY KEY, name TEXT NOT NULL, created REAL NOT NULL, spec TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS job (
    id TEXT PRIMARY KEY, study_id TEXT NOT NULL REFERENCES study (id), position INTEGER NOT NULL,
    recipe TEXT NOT NULL, avg_bits REAL, status TEXT NOT NULL, device TEXT, pid INTEGER, pid_started REAL,
    created REAL NOT NULL, started REAL, finished REAL, error TEXT
);
CREATE INDEX IF NOT EXISTS job_by_study ON job (study_id, position);
CREATE INDEX IF NOT EXISTS job_by_status ON job (status, created, position);
"""
BUSY_SECONDS = 30.0


class Store:
    """All studies of one home. Cheap to make; safe to use from several processes and threads at once."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.home.mkdir(parents=True, exist_ok=True)
        self._database = self.home / "index.sqlite"
        with self._open() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(SCHEMA)

    # studies

    def add_study(self, spec: Study, name: str, jobs: Iterable[tuple[str, float | None]]) -> StudyRecord:
        """Store a study and queue its jobs, given as (recipe, budget), in that order."""
        now = time.time()
        study_id = f"{datetime.fromtimestamp(now):%Y%m%d}-{secrets.token_hex(3)}"
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO study VALUES (?, ?, ?, ?)", (study_id, name, now, spec.model_dump_json()))
            for position, (recipe, avg_bits) in enumerate(jobs):
                job_id = f"{study_id}.{recipe}" + (f"-{avg_bits:g}" if avg_bits is not None else "")
                db.execute(
                    "INSERT INTO job (id, study_id, position, recipe, avg_bits, status, created)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (job_id, study_id, position, recipe, avg_bits, Status.QUEUED, now),
                )
                self.folder(job_id).path.mkdir(parents=True)
            (self.home / "studies" / study_id / "study.yaml").write_text(spec.to_yaml(), encoding="utf-8")
        return self.study(study_id)

    def studies(self) -> list[StudyRecord]:
        """All studies, newest first."""
        with self._open() as db:
            rows = db.execute("SELECT * FROM study ORDER BY created DESC").fetchall()
            states = db.execute("SELECT study_id, status FROM job").fetchall()
        by_study: dict[str, list[Status]] = {}
        for study_id, status in states:
            by_study.setdefault(study_id, []).append(Status(status))
        return [_study(row, by_study.get(row["id"], [])) for row in rows]

    def study(self, study_id: str) -> StudyRecord:
        """One study, by its id or the beginning of it.

        Raises:
            NotFound: no study, or several, begin so.
        """
        studies = self.studies()
        found = [s for s in studies if s.id == study_id] or [s for s in studies if s.id.startswith(study_id)]
        if len(found) == 1:
            return found[0]
        if found:
            raise NotFound(f"'{study_id}' begins the ids of {len(found)} studies: give more of it")
        if not studies:
            raise NotFound(f"no study '{study_id}': this home has none yet")
        raise NotFound(unknown("study", study_id, [s.id for s in studies[:5]]))

    # jobs

    def jobs(self, study_id: str | None = None, status: Status | None = None) -> list[Job]:
        """Jobs in the order in which they will run; of one study, or in one state."""
        query = "SELECT * FROM job WHERE (?1 IS NULL OR study_id = ?1) AND (?2 IS NULL OR status = ?2)"
        with self._open() as db:
            rows = db.execute(query + " ORDER BY created, study_id, position", (study_id, status)).fetchall()
        return [Job.model_validate(dict(row)) for row in rows]

    def job(self, job_id: str) -> Job:
        """One job.

        Raises:
            NotFound: there is none of that id.
        """
        with self._open() as db:
            row = db.execute("SELECT * FROM job WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise NotFound(f"no job '{job_id}': see 'list' for studies and 'status ID' for their jobs")
        return Job.model_validate(dict(row))

    def claim(self, device: str) -> Job | None:
        """Take the first queued job for a device and mark it running; None when there is none."""
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            row = db.execute(
                "SELECT id FROM job WHERE status = ? ORDER BY created, study_id, position LIMIT 1", (Status.QUEUED,)
            ).fetchone()
            if row is None:
                return None
            db.execute(
                "UPDATE job SET status = ?, device = ?, started = ? WHERE id = ?",
                (Status.RUNNING, device, time.time(), row["id"]),
            )
        return self.job(row["id"])

    def started(self, job_id: str, pid: int, pid_started: float) -> None:
        """Note the process of a job that was claimed."""
        with self._open() as db:
            db.execute("UPDATE job SET pid = ?, pid_started = ? WHERE id = ?", (pid, pid_started, job_id))

    def finish(self, job_id: str, status: Status, error: str | None = None) -> None:
        """Note how a job ended. A job that has ended stays as it is."""
        with self._open() as db:
            db.execute(
                "UPDATE job SET status = ?, error = ?, finished = ?, pid = NULL WHERE id = ? AND status IN (?, ?)",
                (status, error, time.time(), job_id, Status.QUEUED, Status.RUNNING),
            )

    # files

    def folder(self, job_id: str) -> JobFolder:
        """The folder of a job."""
        return JobFolder(self.home / "studies" / job_id.split(".", 1)[0] / job_id)

    def results(self, study_id: str) -> list[Result]:
        """The published results of a study, in the order of its jobs."""
        folders = (self.folder(job.id) for job in self.jobs(study_id))
        return [folder.result() for folder in folders if folder.result_file.exists()]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._database, timeout=BUSY_SECONDS, isolation_level=None)
        db.row_factory = sqlite3.Row
        try:
            yield db
            if db.in_transaction:
                db.commit()
        finally:
            db.close()  # rolls back what was not committed


def _study(row: sqlite3.Row, states: list[Status]) -> StudyRecord:
    values: dict[str, Any] = dict(row)
    spec = parse_study(json.loads(values.pop("spec")), f"stored study {values['id']}")
    return StudyRecord(**values, spec=spec, status=overall(states))


def overall(states: list[Status]) -> Status:
    """The state of a study, from those of its jobs."""
    if not all(state.ended for state in states):
        return Status.RUNNING if any(state is not Status.QUEUED for state in states) else Status.QUEUED
    for worst in (Status.FAILED, Status.CANCELLED):
        if worst in states:
            return worst
    return Status.SUCCESS
