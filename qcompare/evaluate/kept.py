"""Scores, answers and tokens of requests that need not be computed twice: rows of the cache, chunk by chunk.

The `CacheKey` of a file covers the model and how it computes; a row's key is the request: its tokens or its text,
which cover the rest (task version, prompt, few-shot examples, BOS token, truncation). So raising `limit` computes the
new questions only, and an interrupted evaluation goes on after its last chunk.
"""

import hashlib
import json
import struct
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence

from qcompare.evaluate.scoring.encode import Encoded, Pair
from qcompare.evaluate.scoring.sums import Scores
from qcompare.store.cache import KeptRows


class KeptAnswers:
    """Generated answers: request key → text."""

    def __init__(self, rows: KeptRows) -> None:
        self.rows = rows

    def get(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        """Those answers that are kept and whole."""
        return {key: value.decode() for key, value in self.rows.get(keys).items()}

    def put(self, texts: Mapping[bytes, str]) -> None:
        """Keep answers, all or none."""
        self.rows.put({key: text.encode() for key, text in texts.items()})


class KeptScores:
    """Scores: request → (log-likelihood, greedy)."""

    def __init__(self, rows: KeptRows) -> None:
        self.rows = rows

    def get(self, requests: Iterable[Encoded]) -> list[tuple[float, bool] | None]:
        """The kept score of each request, None for those not kept or damaged."""
        keys = [request_key(request) for request in requests]
        found = {key: struct.unpack("<d?", value) for key, value in self.rows.get(keys).items()}
        return [found.get(key) for key in keys]

    def put(self, requests: Sequence[Encoded], scores: Scores) -> None:
        """Keep scores, all or none."""
        pairs = zip(requests, scores, strict=True)
        self.rows.put({request_key(request): struct.pack("<d?", value, greedy) for request, (value, greedy) in pairs})


class KeptEncodings:
    """(context, continuation) → their tokens: the first recipe of a model encodes the questions, the others read."""

    def __init__(self, rows: KeptRows) -> None:
        self.rows = rows

    def get(self, pairs: Iterable[Pair]) -> dict[Pair, Encoded]:
        """Those pairs that are kept and whole."""
        keys = {_pair_key(pair): pair for pair in pairs}
        return {keys[key]: _unpacked(value) for key, value in self.rows.get(keys).items()}

    def put(self, encodings: Mapping[Pair, Encoded]) -> None:
        """Keep pairs, all or none."""
        self.rows.put({_pair_key(pair): _packed(encoded) for pair, encoded in encodings.items()})


def request_key(request: Encoded) -> bytes:
    """A request's tokens, context and continuation, as 20 bytes."""
    return hashlib.sha256(json.dumps(request).encode()).digest()[:20]


def _pair_key(pair: Pair) -> bytes:
    return hashlib.sha256(json.dumps(pair).encode()).digest()[:20]


def _packed(encoded: Encoded) -> bytes:
    context, continuation = encoded
    return zlib.compress(array("I", [len(context), *context, *continuation]).tobytes(), 1)


def _unpacked(packed: bytes) -> Encoded:
    numbers = array("I")
    numbers.frombytes(zlib.decompress(packed))
    length, *tokens = numbers.tolist()
    return tokens[:length], tokens[length:]
