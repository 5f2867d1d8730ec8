"""Jobs in the index: their order, who runs them, how they end. Each method is one transaction."""

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from typing import Any

from qcompare.errors import NotFound
from qcompare.store.schema import Database
from qcompare.study.messages import message_column
from qcompare.study.records import ExportRequest, FailureKind, Job, Status
from qcompare.words import Message, gettext_noop

NO_JOB = gettext_noop("no job '{job_id}': see 'list' for studies and 'status ID' for their jobs")
IN_ORDER = "study.priority DESC, job.created, job.study_id, job.position"
TURNS = """
WITH waiting AS (
  SELECT job.id, job.study_id, job.position, job.created, study.priority, coalesce(study.owner, '') AS owner,
    dense_rank() OVER (PARTITION BY study.priority, study.owner ORDER BY job.created, job.study_id) AS turn,
    study.owner IS NOT NULL AND EXISTS (
      SELECT 1 FROM job AS other WHERE other.study_id = study.id AND other.started IS NOT NULL
    ) AS begun
  FROM job JOIN study ON study.id = job.study_id
  WHERE job.status = 'queued' AND (job.export IS NOT NULL OR NOT study.paused)
), latest AS (
  SELECT coalesce(study.owner, '') AS owner, max(job.started) AS started
  FROM job JOIN study ON study.id = job.study_id
  WHERE job.started >= (SELECT min(created) FROM waiting) GROUP BY 1
)
SELECT waiting.id FROM waiting LEFT JOIN latest USING (owner)
ORDER BY priority DESC, begun DESC, turn, coalesce(latest.started, 0), created, study_id, position
"""
"""Waiting jobs in the order in which they will run. Visitors take turns, a study each, and the studies of no visitor
in particular count as those of one more: who has had a turn goes behind those who wait for theirs."""
NEXT = f"{TURNS} LIMIT 1"
SPENT = "spent = spent + coalesce(max(0, finished - started), 0)"
"""Adds what an attempt that was stopped took."""


class Queue:
    """The jobs of one index."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def jobs(self, study_id: str | None = None, status: Status | None = None, exports: bool = False) -> list[Job]:
        """Jobs in the order in which they will run; of one study, or in one state.

        Args:
            exports: also those that write checkpoints; else only those that measure, one per row of a study.
        """
        wanted = {"job.study_id = ?": study_id, "job.status = ?": status}
        given = {clause: value for clause, value in wanted.items() if value is not None}
        clauses = [*given, *["job.export IS NULL"][exports:]]
        query = f"SELECT job.* FROM job JOIN study ON study.id = job.study_id WHERE {' AND '.join(clauses) or '1'}"
        with self._database.open() as db:
            rows = db.execute(f"{query} ORDER BY {IN_ORDER}", tuple(given.values())).fetchall()
            if status is Status.QUEUED:
                turns = {row["id"]: turn for turn, row in enumerate(db.execute(TURNS))}
                rows.sort(key=lambda row: turns.get(row["id"], len(turns)))
        return [_job(row) for row in rows]

    def job(self, job_id: str) -> Job:
        """One job.

        Raises:
            NotFound: there is none of that id.
        """
        with self._database.open() as db:
            row = db.execute("SELECT * FROM job WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise NotFound(NO_JOB, job_id=job_id)
        return _job(row)

    def counts(self) -> dict[Status, int]:
        """How many jobs are in each state, over all studies."""
        with self._database.open() as db:
            rows = db.execute("SELECT status, count(*) FROM job GROUP BY status").fetchall()
        return {status: 0 for status in Status} | {Status(status): number for status, number in rows}

    def work_left(self) -> bool:
        """A job runs, or waits for a device."""
        with self._database.open() as db:
            running = db.execute("SELECT 1 FROM job WHERE status = 'running' LIMIT 1").fetchone()
            return bool(running or db.execute(NEXT).fetchone())

    def next_job(self) -> Job | None:
        """The first waiting job."""
        with self._database.open() as db:
            row = db.execute(NEXT).fetchone()
        return self.job(row["id"]) if row else None

    def claim(self, device: str, job_id: str | None = None) -> Job | None:
        """Take the first waiting job for a device and mark it running; None when there is none.

        Args:
            job_id: only if it is this one.
        """
        with self._database.open() as db:
            if db.execute(NEXT).fetchone() is None:  # no write transaction just to find nothing
                return None
        with self._database.change() as db:
            row = db.execute(NEXT).fetchone()
            if row is None or job_id not in (None, row["id"]):
                return None
            db.execute(
                f"UPDATE job SET {SPENT}, status = 'running', device = ?, started = ?, finished = NULL,"
                " executor = NULL, handle = NULL, attempts = attempts + 1 WHERE id = ?",
                (device, time.time(), row["id"]),
            )
        return self.job(row["id"])

    def add_export(self, measured: Job, request: ExportRequest) -> Job | None:
        """Queue an export, also again after an earlier one; None when it waits or runs already."""
        values = (request.id, measured.study_id, measured.position, measured.recipe, measured.avg_bits)
        with self._database.change() as db:
            done = db.execute(
                "INSERT INTO job (id, study_id, position, recipe, avg_bits, params, status, created, export)"
                " VALUES (?, ?, ?, ?, ?, ?, 'queued', ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET status = 'queued', created = excluded.created,"
                " export = excluded.export, error = NULL, failure = NULL, interrupted = NULL, attempts = 0,"
                " started = NULL, finished = NULL, spent = 0 WHERE status NOT IN ('queued', 'running')",
                (*values, json.dumps(measured.params), time.time(), request.model_dump_json()),
            )
        return self.job(request.id) if done.rowcount else None

    def started(self, job_id: str, executor: str, handle: str) -> bool:
        """Note what runs a job that was claimed; False when the job is no longer to run.

        Args:
            executor: a name in `jobs.executors.EXECUTORS`.
            handle: by which that executor finds the job again.
        """
        with self._database.change() as db:
            done = db.execute(
                "UPDATE job SET executor = ?, handle = ? WHERE id = ? AND status = 'running' AND stopping IS NULL",
                (executor, handle, job_id),
            )
        return done.rowcount == 1

    def finish(
        self,
        job_id: str,
        status: Status,
        error: Message | str | None = None,
        failure: FailureKind | None = None,
        size: int | None = None,
    ) -> None:
        """Note how a job ended. A job that has ended stays as it is; one that is being stopped does not fail.

        Args:
            size: bytes of the job's files.
        """
        with self._database.change() as db:
            db.execute(
                "UPDATE job SET status = ?1, error = ?2, failure = ?3, size_bytes = ?4, finished = ?5, handle = NULL,"
                " stopping = NULL WHERE id = ?6 AND status IN ('queued', 'running')"
                " AND NOT (stopping IS NOT NULL AND ?1 = 'failed')",
                (status, message_column(error), failure, size, time.time(), job_id),
            )

    # stopping and starting again

    def ask_to_stop(self, job_ids: Iterable[str], then: Status) -> list[Job]:
        """Cancel jobs (`then` CANCELLED), or let them wait again (QUEUED). Those waiting change at once.

        Returns:
            The running ones: stop their processes, then call `stopped`.
        """
        ids = list(job_ids)
        with self._database.change() as db:
            if then is Status.CANCELLED:
                db.executemany(
                    "UPDATE job SET status = 'cancelled', finished = ? WHERE id = ? AND status = 'queued'",
                    [(time.time(), job_id) for job_id in ids],
                )
            marks = [(then, job_id) for job_id in ids]
            db.executemany("UPDATE job SET stopping = ? WHERE id = ? AND status = 'running'", marks)
        wanted = set(ids)
        return [job for job in self.stopping() if job.id in wanted]

    def stopping(self) -> list[Job]:
        """Running jobs that were asked to stop."""
        return [job for job in self.jobs(status=Status.RUNNING, exports=True) if job.stopping]

    def stopped(self, job_id: str) -> None:
        """The processes of a job that was asked to stop are gone: it is what was asked for."""
        with self._database.change() as db:
            db.execute(
                "UPDATE job SET status = stopping, stopping = NULL, handle = NULL, finished = ?"
                " WHERE id = ? AND status = 'running' AND stopping IS NOT NULL",
                (time.time(), job_id),
            )

    def interrupted(self, job_id: str, cause: Message | str) -> None:
        """Let a job whose process died wait again, in its old place."""
        with self._database.change() as db:
            db.execute(
                "UPDATE job SET status = 'queued', interrupted = ?, handle = NULL, finished = ?"
                " WHERE id = ? AND status = 'running'",
                (message_column(cause), time.time(), job_id),
            )

    def queue_again(self, job_ids: Iterable[str], changes: Mapping[str, Any] | None = None) -> None:
        """Let jobs that ended wait again, with these settings changed; what they finished stays."""
        values = None if changes is None else json.dumps(dict(changes))
        with self._database.change() as db:
            db.executemany(
                f"UPDATE job SET {SPENT}, status = 'queued', error = NULL, failure = NULL, interrupted = NULL,"
                " attempts = 0, started = NULL, finished = NULL, changes = coalesce(?, changes)"
                " WHERE id = ? AND status NOT IN ('queued', 'running')",
                [(values, job_id) for job_id in job_ids],
            )


def _job(row: sqlite3.Row) -> Job:
    values = dict(row)
    values["changes"] = json.loads(values["changes"])
    values["params"] = json.loads(values["params"])
    for name in ("estimate", "export"):
        values[name] = json.loads(values[name]) if values[name] else None
    return Job.model_validate(values)
