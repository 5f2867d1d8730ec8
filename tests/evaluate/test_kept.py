"""Kept scores: used when everything agrees, never otherwise."""

import sqlite3
import struct
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompare.evaluate import cached as module
from qcompare.evaluate.cached import CachedLM, chunks
from qcompare.evaluate.kept import KeptScores, request_key
from qcompare.evaluate.scoring.lm import PackedLM
from qcompare.evaluate.scoring.memory import Budget
from qcompare.models.sources import fetch, load
from qcompare.settings import Settings
from qcompare.store.cache import Rows

QUESTIONS = [
    (f"Question {n}: what is it? Answer:", option) for n in range(9) for option in (" this one", " that", " no")
]


requests_of = st.lists(
    st.tuples(st.lists(st.integers(0, 9), max_size=3), st.lists(st.integers(0, 9), min_size=1, max_size=2)),
    max_size=30,
)


@given(requests_of)
def test_requests_of_other_tokens_have_other_keys(requests: list[tuple[list[int], list[int]]]) -> None:
    distinct = {(tuple(context), tuple(continuation)) for context, continuation in requests}
    assert len({request_key(request) for request in requests}) == len(distinct)


@given(requests_of)
def test_chunks_hold_every_request_in_order(requests: list[tuple[list[int], list[int]]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_REQUESTS", 3)
        found = list(chunks(requests))
    assert [request for chunk in found for request in chunk] == requests
    assert all(one[-1][0] != other[0][0] for one, other in pairwise(found))


@pytest.fixture
def lm(tiny_llama: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CachedLM:
    monkeypatch.setattr(module, "CHUNK_REQUESTS", 5)
    model, tokenizer = load(fetch(str(tiny_llama), settings), "cpu", "float32", settings, hub_kernels=False)
    lm = CachedLM(model, tokenizer)
    lm.scores_at = lambda tokens: scores_at(tmp_path / "kept", tokens)
    return lm


def scores_at(folder: Path, tokens: int) -> KeptScores:
    folder.mkdir(exist_ok=True)
    return KeptScores(Rows(folder / f"{tokens}.sqlite"))


def score(lm: CachedLM, pairs: list[tuple[str, str]]) -> Any:
    return lm.loglikelihood([SimpleNamespace(args=pair, task_name=None) for pair in pairs], disable_tqdm=True)


def test_more_questions_compute_only_the_new_ones(lm: CachedLM) -> None:
    first = score(lm, QUESTIONS[:12])
    tokens = lm.computed
    again = score(lm, QUESTIONS)
    assert lm.reused == 12
    assert again[:12] == first
    lm.scores_at = None
    before = lm.computed
    fresh = score(lm, QUESTIONS)
    assert tokens > 0
    assert lm.computed - before > before - tokens
    assert [value for value, _ in again] == pytest.approx([value for value, _ in fresh], abs=1e-4)
    assert [greedy for _, greedy in again] == [greedy for _, greedy in fresh]


def test_an_interrupted_evaluation_goes_on_after_its_last_chunk(lm: CachedLM, tmp_path: Path) -> None:
    undisturbed = score(lm, QUESTIONS)
    kept = scores_at(tmp_path / "other", 1)
    lm.scores_at = lambda tokens: kept
    lm.reused, put, stored = 0, kept.put, []

    def put_twice_then_stop(requests: Any, scores: Any) -> None:
        if len(stored) == 2:
            raise KeyboardInterrupt
        stored.append(len(requests))
        put(requests, scores)

    kept.put = put_twice_then_stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        score(lm, QUESTIONS)
    lm.scores_at = lambda tokens: scores_at(tmp_path / "other", 1)
    assert score(lm, QUESTIONS) == undisturbed
    assert lm.reused == sum(stored)


def test_a_damaged_score_is_computed_again_not_used(tmp_path: Path) -> None:
    kept = scores_at(tmp_path, 1)
    kept.put([([1], [2]), ([1], [3])], [(-1.5, True), (-2.5, False)])
    assert kept.get([([1], [3]), ([1], [4])]) == [(-2.5, False), None]
    with closing(sqlite3.connect(kept.rows.path)) as db, db:
        other = struct.pack("<d?", -1.25, True)
        db.execute("UPDATE rows SET value = ? WHERE key = ?", [other, request_key(([1], [2]))])
    assert scores_at(tmp_path, 1).get([([1], [2]), ([1], [3])]) == [None, (-2.5, False)]


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    kept = scores_at(tmp_path, 1)
    kept.put([([1], [2])], [(-1.5, True)])
    kept.rows.path.write_bytes(b"not a database" * 1000)
    again = scores_at(tmp_path, 1)
    assert again.get([([1], [2])]) == [None]
    again.put([([1], [2])], [(-1.5, True)])
    assert again.get([([1], [2])]) == [(-1.5, True)]


def test_a_score_is_never_stored_under_a_budget_it_was_not_computed_with(
    lm: CachedLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The budget drops in the middle of the third chunk; each "score" here is the budget it was computed with."""
    chunk_sizes: list[int] = []

    def score_as_budget(self: PackedLM, requests: list[Any]) -> list[tuple[float, bool]]:
        chunk_sizes.append(len(requests))
        first = (float(self.budget.tokens), True)
        if len(chunk_sizes) == 3:
            self.budget.lower(self.budget.tokens)
        return [first, *[(float(self.budget.tokens), True)] * (len(requests) - 1)]

    monkeypatch.setattr(PackedLM, "_score", score_as_budget)
    lm.budget = Budget(1024)
    found = score(lm, QUESTIONS)
    assert [value for value, _ in found] == [1024.0] * 12 + [512.0] * 15
    assert lm.budget.tokens == 512
    requests = lm._encode(QUESTIONS)
    for tokens, number in ((1024, 12), (512, 15)):
        stored = [one for one in scores_at(tmp_path / "kept", tokens).get(requests) if one]
        assert stored == [(float(tokens), True)] * number
    assert sum(chunk_sizes) == 27 + 6  # the chunk in which it dropped is scored again


def test_after_the_budget_has_dropped_what_is_kept_under_the_lower_one_is_used(lm: CachedLM) -> None:
    lm.budget = Budget(512)
    kept = score(lm, QUESTIONS)
    lm.budget, lm.reused = Budget(1024), 0
    plain, calls = PackedLM._score, []

    def drop_at_once(self: PackedLM, requests: list[Any]) -> Any:
        calls.append(len(requests))
        self.budget.lower(self.budget.tokens)
        return plain(self, requests)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PackedLM, "_score", drop_at_once)
        assert score(lm, QUESTIONS) == kept
    assert len(calls) == 1
