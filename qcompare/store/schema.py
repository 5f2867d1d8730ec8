"""The tables of the index, and how the index of an older qcompare is brought up to date.

SQLite in WAL mode: readers never wait, every change of state is one transaction, and a process that dies in the
middle of one leaves nothing behind.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qcompare.errors import QCompareError

BUSY_SECONDS = 30.0
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE IF NOT EXISTS study"
        " (id TEXT PRIMARY KEY, name TEXT NOT NULL, created REAL NOT NULL, spec TEXT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS job (id TEXT PRIMARY KEY, study_id TEXT NOT NULL REFERENCES study (id),"
        " position INTEGER NOT NULL, recipe TEXT NOT NULL, avg_bits REAL, status TEXT NOT NULL, device TEXT,"
        " pid INTEGER, pid_started REAL, created REAL NOT NULL, started REAL, finished REAL, error TEXT)",
        "CREATE INDEX IF NOT EXISTS job_by_study ON job (study_id, position)",
        "CREATE INDEX IF NOT EXISTS job_by_status ON job (status, created, position)",
    ),
    (
        "ALTER TABLE study ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE study ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE study ADD COLUMN paused INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE study ADD COLUMN imported INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE job ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE job ADD COLUMN interrupted TEXT",
        "ALTER TABLE job ADD COLUMN stopping TEXT",
        "ALTER TABLE job ADD COLUMN failure TEXT",
        "ALTER TABLE job ADD COLUMN changes TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE job ADD COLUMN estimate TEXT",
        "ALTER TABLE job ADD COLUMN size_bytes INTEGER",
        "CREATE INDEX study_by_time ON study (created)",
    ),
    ("ALTER TABLE job ADD COLUMN params TEXT NOT NULL DEFAULT '{}'",),
    (
        "ALTER TABLE job ADD COLUMN executor TEXT",
        "ALTER TABLE job ADD COLUMN handle TEXT",  # in place of pid and pid_started
    ),
    ("ALTER TABLE job ADD COLUMN export TEXT",),
    ("ALTER TABLE job ADD COLUMN spent REAL NOT NULL DEFAULT 0", "ALTER TABLE study ADD COLUMN asked_of TEXT"),
    ("ALTER TABLE study ADD COLUMN owner TEXT",),
    (
        "CREATE TABLE vote (studies TEXT NOT NULL, prompt TEXT NOT NULL, voter TEXT NOT NULL, chosen TEXT NOT NULL,"
        " shown TEXT NOT NULL, time REAL NOT NULL, PRIMARY KEY (studies, prompt, voter))",
    ),
    ("ALTER TABLE study ADD COLUMN notes TEXT NOT NULL DEFAULT ''",),
)
"""Statements that lead from one version of the index to the next; its `user_version` counts those done."""


class Database:
    """An index file. Cheap to make; safe to use from several processes and threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.open() as db:
            if _version(db) != len(MIGRATIONS):
                db.execute("PRAGMA journal_mode = WAL")
                _migrate(db, path)

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading, or for single statements."""
        db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        db.row_factory = sqlite3.Row
        try:
            yield db
            if db.in_transaction:
                db.commit()
        finally:
            db.close()  # rolls back what was not committed

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """A connection inside a write transaction: all of the block's changes, or none; one writer at a time."""
        with self.open() as db:
            db.execute("BEGIN IMMEDIATE")
            yield db


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    db.execute("BEGIN EXCLUSIVE")
    version = _version(db)  # asked again: another process may have been first
    if version > len(MIGRATIONS):
        raise QCompareError(
            "{path} was written by a newer qcompare (index {version}, this one knows {known}): "
            "install the newer one, or choose another home",
            path=path,
            version=version,
            known=len(MIGRATIONS),
        )
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
