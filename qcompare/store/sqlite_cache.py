"""A file of work that need not be done twice: made again where it is damaged, never the reason why a job fails."""

import sqlite3
from contextlib import closing
from pathlib import Path

BUSY_SECONDS = 30.0


class KeptFile:
    """An SQLite file of one table. Several processes may use it; one that cannot be read is set aside."""

    table: str
    """The statement that creates the table where there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._create()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, or the disk is full: not the file's fault
                raise
            print(f"{path.name} is damaged ({error}): what it held is computed again")
            path.replace(path.with_suffix(".damaged"))
            for leftover in ("-wal", "-shm"):
                path.with_name(path.name + leftover).unlink(missing_ok=True)
            self._create()

    def _create(self) -> None:
        with closing(self._open()) as db, db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(self.table)
            if (found := db.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(found)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=BUSY_SECONDS)
