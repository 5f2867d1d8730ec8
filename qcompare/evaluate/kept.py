"""Scores that need not be computed twice: kept as they are found, chunk by chunk, and used again.

What a score depends on is in two keys. `Identity` covers the model and how it computes: it names the file. The tokens
of a request cover the rest (task version, prompt, few-shot examples, BOS token, truncation): they name the row. So
raising `limit` computes the new questions only, and an interrupted evaluation goes on after its last chunk.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qcompare.evaluate.scoring.encode import Encoded
from qcompare.evaluate.scoring.sums import Scores
from qcompare.store.sqlite_cache import KeptFile
from qcompare.study.formats import SCHEMES, format_of


@dataclass(frozen=True)
class Identity:
    """Everything besides the request's tokens that can move a score."""

    model_revision: str
    layer_config: Mapping[str, str]
    """Full layer name → scheme."""
    schemes: Mapping[str, Any]
    """Each scheme of the layer config as the quantization library defines it."""
    rounding: str
    dtype: str
    device: str
    """Kind and name: other hardware adds in another order."""
    scorer: str
    """The scoring mode, and its row budget or "generate" and the batch size."""
    max_length: int
    libraries: Mapping[str, str]
    """Versions."""

    @property
    def digest(self) -> str:
        """Changes with any field."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, default=str).encode()).hexdigest()[:24]


def scheme_definitions(layer_config: Mapping[str, str]) -> dict[str, Any]:
    """The schemes of a layer config, field by field, as the libraries that compute them define them."""
    formats = {name: format_of(name) for name in sorted(set(layer_config.values()))}
    return {name: dict(format.definition(SCHEMES[name])) for name, format in formats.items() if format}


class KeptByIdentity(KeptFile):
    """What was computed under one identity. Several processes may use one file.

    Every row carries a checksum, and a file that cannot be read is set aside: what is damaged is computed again.
    """

    def __init__(self, folder: Path, identity: Identity) -> None:
        super().__init__(folder / f"{identity.digest}.sqlite")
        note = json.dumps(asdict(identity), indent=1, default=str)
        self.path.with_suffix(".json").write_text(note, encoding="utf-8")  # of what, for people and for `gc`


class KeptAnswers(KeptByIdentity):
    """Generated answers of one identity: request key → text."""

    table = "CREATE TABLE IF NOT EXISTS answers (request BLOB PRIMARY KEY, text TEXT, checksum INT) WITHOUT ROWID"

    def get(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        """Those answers that are kept and whole."""
        query, found = "SELECT text, checksum FROM answers WHERE request = ?", {}
        with closing(self._open()) as db:
            for key in keys:
                row = db.execute(query, (key,)).fetchone()
                if row and row[1] == zlib.crc32(key + str(row[0]).encode()):
                    found[key] = row[0]
        return found

    def put(self, texts: Mapping[bytes, str]) -> None:
        """Keep answers, all or none."""
        rows = ((key, text, zlib.crc32(key + text.encode())) for key, text in texts.items())
        with closing(self._open()) as db, db:
            db.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)


class KeptScores(KeptByIdentity):
    """Scores of one identity: request → (log-likelihood, greedy)."""

    table = (
        "CREATE TABLE IF NOT EXISTS checked"
        " (request BLOB PRIMARY KEY, value REAL, greedy INT, checksum INT) WITHOUT ROWID"
    )

    def get(self, requests: Iterable[Encoded]) -> list[tuple[float, bool] | None]:
        """The kept score of each request, None for those not kept or damaged."""
        with closing(self._open()) as db:
            query = "SELECT value, greedy, checksum FROM checked WHERE request = ?"
            keys = [request_key(request) for request in requests]
            rows = [(key, db.execute(query, (key,)).fetchone()) for key in keys]
        whole = [row if row and row[2] == _checksum(key, row[0], row[1]) else None for key, row in rows]
        return [(row[0], bool(row[1])) if row else None for row in whole]

    def put(self, requests: Sequence[Encoded], scores: Scores) -> None:
        """Keep scores, all or none."""
        rows = []
        for request, (value, greedy) in zip(requests, scores, strict=True):
            key = request_key(request)
            rows.append((key, value, int(greedy), _checksum(key, value, int(greedy))))
        with closing(self._open()) as db, db:
            db.executemany("INSERT OR REPLACE INTO checked VALUES (?, ?, ?, ?)", rows)


def _checksum(key: bytes, value: float, greedy: int) -> int:
    try:
        return zlib.crc32(key + struct.pack("<d?", value, greedy))
    except struct.error:  # no number any more
        return -1


def request_key(request: Encoded) -> bytes:
    """A request's tokens, context and continuation, as 20 bytes."""
    return hashlib.sha256(json.dumps(request).encode()).digest()[:20]
