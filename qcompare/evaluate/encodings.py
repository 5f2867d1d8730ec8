"""Requests as tokens, kept in a file of the study: its first recipe tokenises the questions, the others read.

The key of a request covers its text and everything that decides its tokens, so an old file does no harm.
"""

import hashlib
import json
import zlib
from array import array
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from qcompare.evaluate.scoring.encode import Encoded, Pair
from qcompare.store.sqlite_cache import KeptFile


class KeptEncodings(KeptFile):
    """(context, continuation) → their tokens."""

    table = "CREATE TABLE IF NOT EXISTS encoding (pair BLOB PRIMARY KEY, tokens BLOB) WITHOUT ROWID"

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        """``identity`` is what decides the tokens besides the text: tokenizer, settings, versions."""
        super().__init__(path)
        self.identity = json.dumps(identity, sort_keys=True)

    def get(self, pairs: Iterable[Pair]) -> dict[Pair, Encoded]:
        """Those pairs that are kept and whole."""
        query, found = "SELECT tokens FROM encoding WHERE pair = ?", {}
        with closing(self._open()) as db:
            for pair in pairs:
                row = db.execute(query, (self._key(pair),)).fetchone()
                with suppress(zlib.error):  # zlib checks a checksum
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


def _packed(encoded: Encoded) -> bytes:
    context, continuation = encoded
    return zlib.compress(array("I", [len(context), *context, *continuation]).tobytes(), 1)


def _unpacked(packed: bytes) -> Encoded:
    numbers = array("I")
    numbers.frombytes(zlib.decompress(packed))
    length, *tokens = numbers.tolist()
    return tokens[:length], tokens[length:]
