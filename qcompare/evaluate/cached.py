"""``CachedLM``: the packed scorer, using scores that are kept and keeping what it computes, chunk by chunk."""

from collections.abc import Callable, Iterator, Sequence

from qcompare.evaluate.kept import KeptEncodings, KeptScores, request_key
from qcompare.evaluate.scoring.encode import Encoded, Pair
from qcompare.evaluate.scoring.lm import PackedLM
from qcompare.evaluate.scoring.sums import Scores

CHUNK_REQUESTS = 400
"""Requests scored and stored at a time: seconds of work on two cores, hundreds of questions' worth of packing."""


class CachedLM(PackedLM):
    """The packed scorer with a cache of scores and one of encoded requests."""

    scores_at: Callable[[int], KeptScores] | None = None
    """Row budget → the scores that were computed with it: another budget adds in another order."""
    encodings: KeptEncodings | None = None

    def _encode(self, pairs: list[Pair]) -> list[Encoded]:
        if self.encodings is None:
            return super()._encode(pairs)
        found = self.encodings.get(dict.fromkeys(pairs))
        if missing := [pair for pair in dict.fromkeys(pairs) if pair not in found]:
            new = dict(zip(missing, super()._encode(missing), strict=True))
            self.encodings.put(new)
            found |= new
        return [found[pair] for pair in pairs]

    def _score(self, requests: list[Encoded]) -> Scores:
        if self.scores_at is None:
            return super()._score(requests)
        waiting = {request_key(request): request for request in requests}
        found: dict[bytes, tuple[float, bool]] = {}
        report, total = self.progress, 0
        while waiting:
            tokens, kept = self.budget.tokens, self.scores_at(self.budget.tokens)
            known = zip(list(waiting), kept.get(waiting.values()), strict=True)
            found |= {key: score for key, score in known if score is not None}
            waiting = {key: request for key, request in waiting.items() if key not in found}
            total = total or len(waiting)
            for chunk in chunks(list(waiting.values())):
                self.progress = _part(report, total - len(waiting), len(chunk), total)
                scores = super()._score(chunk)
                if self.budget.tokens != tokens:
                    break  # lowered meanwhile: these rows had two sizes, so they are scored again, in rows of one
                kept.put(chunk, scores)
                for request, score in zip(chunk, scores, strict=True):
                    found[request_key(request)] = score
                    del waiting[request_key(request)]
        self.progress = report
        self.reused += len(requests) - total
        return [found[request_key(request)] for request in requests]


def _part(report: Callable[[int, int], None], done: int, size: int, total: int) -> Callable[[int, int], None]:
    """Progress of one chunk, reported as requests of all chunks."""
    return lambda tokens, all_tokens: report(done + size * tokens // all_tokens, total)


def chunks(requests: Sequence[Encoded]) -> Iterator[list[Encoded]]:
    """Requests in their order, about `CHUNK_REQUESTS` at a time, the options of a question never parted."""
    chunk: list[Encoded] = []
    for request in requests:
        if len(chunk) >= CHUNK_REQUESTS and request[0] != chunk[-1][0]:
            yield chunk
            chunk = []
        chunk.append(request)
    if chunk:
        yield chunk
