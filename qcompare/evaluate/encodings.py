"""Requests as tokens, kept in a file of the study: its first recipe tokenises the questions, the others read.

The key of a request covers its text and everything that decides its tokens, so an old file does no harm.
"""

import hashlib
import json
import sqlite3
import zlib
from array import array
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from qcompare.evaluate.scoring.encode import Encoded, Pair

BUSY_SECONDS = 30.0


class KeptEncodings:
    """(context, continuation) → their tokens. Several processes may use one file."""

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        """``identity`` is what decides the tokens besides the text: tokenizer, settings, versions."""
        self.path = path
        self.identity = json.dumps(identity, sort_keys=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._open()) as db, db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("CREATE TABLE IF NOT EXISTS encoding (pair BLOB PRIMARY KEY, tokens BLOB) WITHOUT ROWID")

    def get(self, pairs: Iterable[Pair]) -> dict[Pair, Encoded]:
        """Those pairs that are kept."""
        query, found = "SELECT tokens FROM encoding WHERE pair = ?", {}
        with closing(self._open()) as db:
            for pair in pairs:
                row = db.execute(query, (self._key(pair),)).fetchone()
                if row:
                    found[pair] = _unpacked(row[0])
        return found

    def put(self, encodings: Mapping[Pair, Encoded]) -> None:
        """Keep pairs, all or none."""
        rows = ((self._key(pair), _packed(encoded)) for pair, encoded in encodings.items())
        with closing(self._open()) as db, db:
            db.executemany("INSERT OR REPLACE INTO encoding VALUES (?, ?)", rows)

    def _key(self, pair: Pair) -> bytes:
        return hashlib.sha256(json.dumps([self.identity, *pair]).encode()).digest()[:20]

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=BUSY_SECONDS)


def _packed(encoded: Encoded) -> bytes:
    context, continuation = encoded
    return zlib.compress(array("I", [len(context), *context, *continuation]).tobytes(), 1)


def _unpacked(packed: bytes) -> Encoded:
    numbers = array("I")
    numbers.frombytes(zlib.decompress(packed))
    length, *tokens = numbers.tolist()
    return tokens[:length], tokens[length:]
