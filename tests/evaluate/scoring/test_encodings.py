"""Encoded requests: read back as they were, and only for the same tokenizer and settings."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qcompare.evaluate.cached import CachedLM
from qcompare.evaluate.kept import KeptEncodings, _pair_key
from qcompare.evaluate.scoring.memory import Budget
from qcompare.store.cache import Rows

from .conftest import tiny_model

tokens = st.lists(st.integers(0, 2**32 - 1), max_size=5)
texts = st.text(max_size=5)


@given(encodings=st.dictionaries(st.tuples(texts, texts), st.tuples(tokens, tokens), max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_what_is_kept_is_read_back(tmp_path: Path, encodings: dict[Any, Any]) -> None:
    KeptEncodings(Rows(tmp_path / "kept.sqlite")).put(encodings)
    assert KeptEncodings(Rows(tmp_path / "kept.sqlite")).get(encodings) == encodings


def test_what_is_damaged_is_not_used(tmp_path: Path) -> None:
    kept = KeptEncodings(Rows(tmp_path / "kept.sqlite"))
    kept.put({("Who?", " me"): ([1], [2]), ("Who?", " you"): ([1], [3])})
    with closing(sqlite3.connect(kept.rows.path)) as db, db:
        db.execute("UPDATE rows SET value = substr(value, 1, 6) WHERE key = ?", [_pair_key(("Who?", " me"))])
    assert kept.get([("Who?", " me"), ("Who?", " you")]) == {("Who?", " you"): ([1], [3])}
    kept.rows.path.write_bytes(b"not a database" * 1000)
    assert KeptEncodings(Rows(kept.rows.path)).get([("Who?", " you")]) == {}


def test_a_second_recipe_tokenises_nothing(tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [("The quick fox", " jumps"), ("The quick fox", " sleeps"), ("", "A dog"), ("Why? ", " so")]

    def model() -> CachedLM:
        lm = CachedLM(tiny_model("llama"), tokenizer, budget=Budget(64))
        lm.encodings = KeptEncodings(Rows(tmp_path / "kept.sqlite"))
        return lm

    first = model()._encode(pairs)
    assert first == CachedLM(tiny_model("llama"), tokenizer, budget=Budget(64))._encode(pairs)
    second = model()
    monkeypatch.setattr(second, "tok_encode", None)
    monkeypatch.setattr(second, "tokenizer", None)
    assert second._encode(pairs) == first
