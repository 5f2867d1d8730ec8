"""Kept scores: used when everything agrees, never otherwise."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompare.evaluate import kept as module
from qcompare.evaluate.kept import Identity, KeepingLM, KeptScores, chunks, request_key
from qcompare.models.sources import fetch, load
from qcompare.settings import Settings

IDENTITY = Identity(
    model_revision="abc",
    layer_config={"a": "MXFP4"},
    schemes={"MXFP4": {"bits": 4}},
    rounding="rtn",
    dtype="float32",
    device="cpu A",
    scorer="packed 1024",
    max_length=512,
    libraries={"torch": "2.13.0"},
)
OTHERS: dict[str, Any] = {
    "model_revision": "abd",
    "layer_config": {"a": "MXFP8"},
    "schemes": {"MXFP4": {"bits": 5}},
    "rounding": "opt_rtn",
    "dtype": "bfloat16",
    "device": "cuda A",
    "scorer": "padded 1024",
    "max_length": 256,
    "libraries": {"torch": "2.13.1"},
}
QUESTIONS = [
    (f"Question {n}: what is it? Answer:", option) for n in range(9) for option in (" this one", " that", " no")
]


def test_every_field_of_the_identity_matters() -> None:
    assert set(OTHERS) == set(Identity.__dataclass_fields__)
    digests = {replace(IDENTITY, **{field: value}).digest for field, value in OTHERS.items()}
    assert len(digests | {IDENTITY.digest}) == len(OTHERS) + 1


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
def lm(tiny_llama: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeepingLM:
    monkeypatch.setattr(module, "CHUNK_REQUESTS", 5)
    model, tokenizer = load(fetch(str(tiny_llama), settings), "cpu", "float32", settings, hub_kernels=False)
    lm = KeepingLM(model, tokenizer)
    lm.kept = KeptScores(tmp_path / "kept", IDENTITY)
    return lm


def score(lm: KeepingLM, pairs: list[tuple[str, str]]) -> Any:
    return lm.loglikelihood([SimpleNamespace(args=pair, task_name=None) for pair in pairs], disable_tqdm=True)


def test_more_questions_compute_only_the_new_ones(lm: KeepingLM) -> None:
    first = score(lm, QUESTIONS[:12])
    tokens = lm.computed
    again = score(lm, QUESTIONS)
    assert lm.reused == 12
    assert again[:12] == first
    lm.kept = None
    before = lm.computed
    fresh = score(lm, QUESTIONS)
    assert tokens > 0
    assert lm.computed - before > before - tokens
    assert [value for value, _ in again] == pytest.approx([value for value, _ in fresh], abs=1e-4)
    assert [greedy for _, greedy in again] == [greedy for _, greedy in fresh]


def test_an_interrupted_evaluation_goes_on_after_its_last_chunk(lm: KeepingLM, tmp_path: Path) -> None:
    undisturbed = score(lm, QUESTIONS)
    lm.kept = KeptScores(tmp_path / "other", IDENTITY)
    lm.reused, put, stored = 0, lm.kept.put, []

    def put_twice_then_stop(requests: Any, scores: Any) -> None:
        if len(stored) == 2:
            raise KeyboardInterrupt
        stored.append(len(requests))
        put(requests, scores)

    lm.kept.put = put_twice_then_stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        score(lm, QUESTIONS)
    lm.kept = KeptScores(tmp_path / "other", IDENTITY)
    assert score(lm, QUESTIONS) == undisturbed
    assert lm.reused == sum(stored)


def test_another_identity_keeps_another_file(tmp_path: Path) -> None:
    one = KeptScores(tmp_path, IDENTITY)
    one.put([([1], [2])], [(-1.5, True)])
    assert one.get([([1], [2]), ([1], [3])]) == [(-1.5, True), None]
    assert KeptScores(tmp_path, replace(IDENTITY, dtype="bfloat16")).get([([1], [2])]) == [None]


def test_a_damaged_score_is_computed_again_not_used(tmp_path: Path) -> None:
    kept = KeptScores(tmp_path, IDENTITY)
    kept.put([([1], [2]), ([1], [3])], [(-1.5, True), (-2.5, False)])
    with closing(sqlite3.connect(kept.path)) as db, db:
        db.execute("UPDATE checked SET value = value + 0.125 WHERE request = ?", [request_key(([1], [2]))])
    assert KeptScores(tmp_path, IDENTITY).get([([1], [2]), ([1], [3])]) == [None, (-2.5, False)]


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    kept = KeptScores(tmp_path, IDENTITY)
    kept.put([([1], [2])], [(-1.5, True)])
    kept.path.write_bytes(b"not a database" * 1000)
    again = KeptScores(tmp_path, IDENTITY)
    assert again.get([([1], [2])]) == [None]
    again.put([([1], [2])], [(-1.5, True)])
    assert again.get([([1], [2])]) == [(-1.5, True)]
