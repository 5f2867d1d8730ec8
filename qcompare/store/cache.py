"""What is computed once and used again: scores, answers, layer scores, states of the original model, tokens.

A `CacheKey` names every input that can change a number, so nothing is used where it does not belong. Entries are
folders (`Cache.entry`), written to a draft, sealed and renamed under a lock, or rows (`Cache.rows`) of an SQLite file
(on a cluster, of plain files), each with a checksum. An abort costs the entry that was being made; what is damaged is
made again.
"""

import hashlib
import json
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock

from qcompare.store.moving import replace
from qcompare.store.row_files import RowFiles
from qcompare.store.seal import SEAL, damage, seal

BUSY_SECONDS = 30.0
NOTE = "key.json"


@dataclass(frozen=True)
class CacheKey:
    """Everything that a kept number depends on."""

    kind: str
    """What is kept, such as `log_likelihoods`: also the name of its folder."""
    model_revision: str
    machine: Mapping[str, Any]
    """Device kind and name, dtype, threads, library versions, kernels and numerics flags (`models.environment`)."""
    sources: str
    """`source_digest` of the code of our own that computes it."""
    inputs: Mapping[str, Any]
    """What else it depends on, by name: layer config, rounding, tokens …"""

    @cached_property
    def digest(self) -> str:
        """Changes with any field."""
        return hashlib.sha256(self.note.encode()).hexdigest()[:24]

    @property
    def note(self) -> str:
        """All fields as JSON, for people and for `gc`."""
        return json.dumps(asdict(self), sort_keys=True, indent=1, default=str)


@lru_cache
def source_digest(*names: str) -> str:
    """Hash of the source files of modules, and of all modules of packages, by dotted names. Imports none of them."""
    found = hashlib.sha256()
    for name in names:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"no source of {name}")
        origin = Path(spec.origin)
        for path in sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]:
            found.update(f"{name} {path.name}".encode() + path.read_bytes())
    return found.hexdigest()[:24]


class KeptRows(Protocol):
    """Small values by key."""

    def get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Those that are kept and whole."""

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values, all or none."""


class Cache:
    """The cache of a home. Several processes may use it at once."""

    def __init__(self, folder: Path, rows_url: str | None = None) -> None:
        """
        Args:
            rows_url: a folder or fsspec URL for rows in plain files (`row_files`), in place of SQLite below `folder`.
        """
        self.folder = folder
        self._rows_url = rows_url

    def entry(self, key: CacheKey, make: Callable[[Path], None]) -> Path:
        """The folder of an entry: the one that is kept or, where there is none or it is damaged, one made now.

        Of several processes one makes it; the others wait and use its work.

        Args:
            make: fills the folder that it is given. Where it was aborted before, it finds the files that it left, so
                it may go on from them; it must not trust those that it did not rename into place itself.
        """
        folder, draft = self._place(key), self._place(key, ".draft")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._place(key, ".lock")):
            if folder.exists():
                wrong = damage(folder) if (folder / SEAL).exists() else "it has no seal"
                if wrong is None:
                    return folder
                print(f"{key.kind} {key.digest}: {wrong}: computed again", flush=True)
                shutil.rmtree(folder)
            draft.mkdir(exist_ok=True)
            (draft / NOTE).write_text(key.note, encoding="utf-8")
            make(draft)
            seal(draft)
            replace(draft, folder)
        return folder

    def find(self, key: CacheKey) -> Path | None:
        """The folder of an entry that is kept and whole."""
        folder = self._place(key)
        return folder if (folder / SEAL).exists() and damage(folder) is None else None

    def rows(self, key: CacheKey) -> KeptRows:
        """The rows kept under a key; none at first."""
        if self._rows_url is not None:
            return RowFiles(f"{self._rows_url}/{key.kind}/{key.digest}")
        path = self._place(key, ".sqlite")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".json").write_text(key.note, encoding="utf-8")
        return Rows(path)

    def unused(self, revisions: Iterable[str]) -> list[Path]:
        """Files and folders of models with none of these revisions."""
        used, found = set(revisions), set[Path]()
        for note in [*self.folder.glob(f"*/*/{NOTE}"), *self.folder.glob("*/*.json")]:
            if _revision(note) not in used:
                whole = note.parent if note.name == NOTE else note
                found.update(whole.parent.glob(f"{whole.stem}*"))
        return sorted(found)

    def _place(self, key: CacheKey, suffix: str = "") -> Path:
        return self.folder / key.kind / f"{key.digest}{suffix}"


def _revision(note: Path) -> str | None:
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["model_revision"])
    except (OSError, ValueError, KeyError):
        return None


class Rows:
    """Small values by key in an SQLite file. Each has a checksum, and a file that cannot be read is set aside."""

    table = "CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, value BLOB, checksum INT) WITHOUT ROWID"

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._create()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, or the disk is full: not the file's fault
                raise
            print(f"{path.name} is damaged ({error}): what it held is computed again")
            replace(path, path.with_suffix(".damaged"))
            for leftover in ("-wal", "-shm"):
                path.with_name(path.name + leftover).unlink(missing_ok=True)
            self._create()

    def get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Those that are kept and whole."""
        found = {}
        with closing(self._open()) as db:
            for key in keys:
                row = db.execute("SELECT value, checksum FROM rows WHERE key = ?", (key,)).fetchone()
                if row and isinstance(row[0], bytes) and row[1] == zlib.crc32(key + row[0]):
                    found[key] = row[0]
        return found

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values, all or none."""
        rows = ((key, value, zlib.crc32(key + value)) for key, value in values.items())
        with closing(self._open()) as db, db:
            db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", rows)

    def _create(self) -> None:
        with closing(self._open()) as db, db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(self.table)
            if (found := db.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(found)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=BUSY_SECONDS)
