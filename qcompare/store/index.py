"""The index of studies and, by `queue`, of their jobs; and the way to their folders."""

import json
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterable
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

from qcompare.errors import InvalidStudy, NotFound, unknown
from qcompare.store.folders import JobFolder
from qcompare.store.queue import Queue
from qcompare.store.schema import Database
from qcompare.store.votes import Votes, remove_votes
from qcompare.study.messages import message_column
from qcompare.study.reading import parse_study
from qcompare.study.recipe import RecipeSpec
from qcompare.study.records import Cost, Job, Status, StudyRecord
from qcompare.study.result import Result
from qcompare.study.spec import Study
from qcompare.words import Message, gettext_noop

NewJob = tuple[str | RecipeSpec, float | None] | tuple[str | RecipeSpec, float | None, Cost]
"""Recipe (or its name), budget, and what it is expected to take."""

STUDIES = """
SELECT study.*, group_concat(DISTINCT iif(job.export IS NULL, job.status, NULL)) AS states,
coalesce(sum(job.size_bytes), 0) AS size_bytes
FROM study LEFT JOIN job ON job.study_id = study.id
"""


class Store(Queue, Votes):
    """All studies of one home. Cheap to make; safe to use from several processes and threads at once."""

    def __init__(self, home: Path) -> None:
        self.home = home
        super().__init__(Database(home / "index.sqlite"))

    def add_study(
        self,
        spec: Study,
        name: str,
        jobs: Iterable[NewJob],
        asked_of: str | None = None,
        owner: str | None = None,
    ) -> StudyRecord:
        """Store a study and queue its jobs in that order.

        Args:
            asked_of: the study whose rows it asks a further prompt.
            owner: the only visitor who may see it; None: everybody.
        """
        now = time.time()
        study_id = f"{datetime.fromtimestamp(now):%Y%m%d}-{secrets.token_hex(3)}"
        with self._database.change() as db:
            db.execute(
                "INSERT INTO study (id, name, created, spec, asked_of, owner) VALUES (?, ?, ?, ?, ?, ?)",
                (study_id, name, now, spec.model_dump_json(), asked_of, owner),
            )
            for position, (recipe, avg_bits, *cost) in enumerate(jobs):
                job_id = self._new_id(study_id, recipe, avg_bits)
                params = {} if isinstance(recipe, str) else recipe.parameters
                kind = recipe if isinstance(recipe, str) else recipe.name
                db.execute(
                    "INSERT INTO job (id, study_id, position, recipe, params, avg_bits, status, created, estimate)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        job_id,
                        study_id,
                        position,
                        kind,
                        json.dumps(params),
                        avg_bits,
                        Status.QUEUED,
                        now,
                        _json(*cost),
                    ),
                )
                self.folder(job_id).path.mkdir(parents=True)
            self.study_folder(study_id).joinpath("study.yaml").write_text(spec.to_yaml(), encoding="utf-8")
        return self.study(study_id)

    def _new_id(self, study_id: str, recipe: str | RecipeSpec, avg_bits: float | None) -> str:
        """`STUDY.mixed-5`; rows of the same recipe with other parameters are counted: `STUDY.mixed-5-2`."""
        name = recipe if isinstance(recipe, str) else recipe.name
        job_id = f"{study_id}.{name}" + (f"-{avg_bits:g}" if avg_bits is not None else "")
        ids = chain([job_id], (f"{job_id}-{n}" for n in count(2)))
        return next(each for each in ids if not self.folder(each).path.exists())

    def studies(self) -> list[StudyRecord]:
        """All studies, newest first."""
        with self._database.open() as db:
            rows = db.execute(f"{STUDIES} GROUP BY study.id ORDER BY study.created DESC").fetchall()
        return [study for row in rows if (study := _readable(row))]

    def study(self, study_id: str) -> StudyRecord:
        """One study, by its id or the beginning of it.

        Raises:
            NotFound: no study, or several, begin so.
        """
        with self._database.open() as db:
            ids = [row["id"] for row in db.execute("SELECT id FROM study ORDER BY created DESC")]
            found = [study_id] if study_id in ids else [id for id in ids if study_id and id.startswith(study_id)]
            if len(found) == 1:
                return _study(db.execute(f"{STUDIES} WHERE study.id = ? GROUP BY study.id", found).fetchone())
        if found:
            raise NotFound("'{study}' begins the ids of {n} studies: give more of it", study=study_id, n=len(found))
        if not ids:
            raise NotFound("no study '{study}': this home has none yet", study=study_id)
        raise NotFound(unknown(gettext_noop("study"), study_id, ids[:5]))

    def version(self) -> tuple[int, ...]:
        """Changes with every change of the index; costs two looks at the disk, whatever it holds."""
        found = []
        for path in (self.home / "index.sqlite", self.home / "index.sqlite-wal"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            found += [status.st_mtime_ns, status.st_size]
        return tuple(found)

    def newest(self) -> str | None:
        """The id of the study that was added last, those aside that ask another one a further prompt."""
        with self._database.open() as db:
            row = db.execute("SELECT id FROM study WHERE asked_of IS NULL ORDER BY created DESC LIMIT 1").fetchone()
        return row["id"] if row else None

    def asked_of(self, study_id: str) -> list[StudyRecord]:
        """The studies that ask this one's rows further prompts, oldest first."""
        with self._database.open() as db:
            query = f"{STUDIES} WHERE study.asked_of = ? GROUP BY study.id ORDER BY study.created"
            rows = db.execute(query, (study_id,)).fetchall()
        return [study for row in rows if (study := _readable(row))]

    def note(self, study_id: str, **values: str | int) -> None:
        """Change what can be changed of a study: name, tags (a JSON list), notes, priority, paused."""
        unchangeable = set(values) - {"name", "tags", "notes", "priority", "paused"}
        assert not unchangeable, unchangeable
        with self._database.change() as db:
            for column, value in values.items():
                db.execute(f"UPDATE study SET {column} = ? WHERE id = ?", (value, study_id))

    def set_margin(self, study_id: str, points: float) -> None:
        """Change how much accuracy a recipe of a study may lack and still count as good; nothing measured changes."""
        spec = self.study(study_id).spec.model_copy(update={"margin": points})
        with self._database.change() as db:
            db.execute("UPDATE study SET spec = ? WHERE id = ?", (spec.model_dump_json(), study_id))

    def delete(self, study_id: str) -> None:
        """Remove a study, its jobs and their files, and the prompts that were asked of it since.

        Raises:
            InvalidStudy: one of its jobs is running.
        """
        ids = [study_id, *(study.id for study in self.asked_of(study_id))]
        with self._database.change() as db:
            for each in ids:
                query = "SELECT 1 FROM job WHERE study_id = ? AND status = 'running'"
                if db.execute(query, (each,)).fetchone():
                    raise InvalidStudy("study {study} is running: cancel it first", study=each)
            for each in ids:
                db.execute("DELETE FROM job WHERE study_id = ?", (each,))
                db.execute("DELETE FROM study WHERE id = ?", (each,))
                remove_votes(db, each)
        for each in ids:
            self.remove_files(each)

    def remove_files(self, study_id: str) -> None:
        """Remove the folder of a study."""
        shutil.rmtree(self.study_folder(study_id), ignore_errors=True)

    def add_imported(
        self, study_id: str, name: str, created: float, tags: Iterable[str], spec: Study, jobs: Iterable[Job]
    ) -> None:
        """Note a study that came from another home, with its files in place already; it is read-only."""
        with self._database.change() as db:
            db.execute(
                "INSERT INTO study (id, name, created, spec, tags, imported) VALUES (?, ?, ?, ?, ?, 1)",
                (study_id, name, created, spec.model_dump_json(), json.dumps(list(tags))),
            )
            for job in jobs:
                values = job.model_dump(exclude={"executor", "handle", "stopping", "export"})
                values |= {
                    "changes": json.dumps(job.changes),
                    "params": json.dumps(job.params),
                    "estimate": _json(job.estimate),
                    "error": message_column(job.error),
                    "interrupted": message_column(job.interrupted),
                }
                columns = ", ".join(values)
                db.execute(
                    f"INSERT INTO job ({columns}) VALUES ({', '.join('?' * len(values))})", tuple(values.values())
                )

    def search(self, text: str = "", status: Status | None = None, tag: str = "") -> list[StudyRecord]:
        """Studies whose name, id, model, recipes, schemes, tags or notes hold every word of a text; newest first."""
        words = text.lower().split()
        return [
            study
            for study in self.studies()
            if (status is None or study.status is status)
            and (not tag or tag in study.tags)
            and all(word in _searchable(study) for word in words)
        ]

    # files

    def study_folder(self, study_id: str) -> Path:
        """The folder of a study."""
        return self.home / "studies" / study_id

    def folder(self, job_id: str) -> JobFolder:
        """The folder of a job."""
        return JobFolder(self.study_folder(job_id.split(".", 1)[0]) / job_id)

    def results(self, study_id: str) -> list[Result]:
        """The published results of a study, in the order of its jobs."""
        folders = (self.folder(job.id) for job in self.jobs(study_id))
        return [folder.result() for folder in folders if folder.result_file.exists()]


def _searchable(study: StudyRecord) -> str:
    spec = study.spec
    parts = (
        study.id,
        study.name,
        spec.model,
        *(recipe.name for recipe in spec.recipes),
        *spec.schemes,
        *spec.tasks,
        *study.tags,
        study.notes,
    )
    return " ".join(parts).lower()


def _json(cost: Cost | None = None) -> str | None:
    return cost.model_dump_json() if cost else None


def _readable(row: sqlite3.Row) -> StudyRecord | None:
    """None for a study that a newer qcompare stored: it must not hide the others."""
    try:
        return _study(row)
    except InvalidStudy:
        return None


def _study(row: sqlite3.Row) -> StudyRecord:
    values: dict[str, Any] = dict(row)
    spec = parse_study(
        json.loads(values.pop("spec")), Message("stored study {id}", {"id": values["id"]}), stored=True
    )
    states = [Status(state) for state in (values.pop("states") or "").split(",") if state]
    values["tags"] = json.loads(values["tags"])
    return StudyRecord(**values, spec=spec, status=overall(states))


def overall(states: list[Status]) -> Status:
    """The state of a study, from those of its jobs."""
    if not all(state.ended for state in states):
        return Status.RUNNING if any(state is not Status.QUEUED for state in states) else Status.QUEUED
    for worst in (Status.FAILED, Status.CANCELLED):
        if worst in states:
            return worst
    return Status.SUCCESS
