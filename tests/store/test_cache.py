"""What is kept is used where every input agrees and the files are whole, and nowhere else."""

import multiprocessing
import sqlite3
import time
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcompare.store.cache import Cache, CacheKey, Rows, source_digest

KEY = CacheKey("layer_scores", "abc", {"dtype": "float32", "libraries": {"torch": "2.13.0"}}, "123", {"seed": 42})
OTHERS: dict[str, Any] = {
    "kind": "answers",
    "model_revision": "abd",
    "machine": {"dtype": "float32", "libraries": {"torch": "2.13.1"}},
    "sources": "124",
    "inputs": {"seed": 43},
}


def test_every_field_of_a_key_matters() -> None:
    assert set(OTHERS) == {field.name for field in fields(CacheKey)}
    digests = {replace(KEY, **{field: value}).digest for field, value in OTHERS.items()}
    assert len(digests | {KEY.digest}) == len(OTHERS) + 1


def test_a_machine_that_computes_otherwise_has_another_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from qcompare.models.environment import machine_identity

    usual = machine_identity("cpu", "float32", False)
    assert machine_identity("cpu", "float32", False) == usual
    others = [machine_identity("cpu", "bfloat16", False), machine_identity("cpu", "float32", True)]
    with monkeypatch.context() as patch:
        patch.setattr("qcompare.models.environment.version", lambda name: "0.0.1")
        others.append(machine_identity("cpu", "float32", False))
    with monkeypatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: 77)
        others.append(machine_identity("cpu", "float32", False))
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    others.append(machine_identity("cpu", "float32", False))
    torch.set_float32_matmul_precision(precision)
    assert all(other != usual for other in others)


def test_a_change_of_our_own_code_changes_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "scorer_of_a_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "sums.py").write_text("TERMS = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before, of_sums = source_digest("scorer_of_a_test"), source_digest("scorer_of_a_test.sums")
    source_digest.cache_clear()
    assert source_digest("scorer_of_a_test") == before
    (package / "sums.py").write_text("TERMS = 2\n")
    source_digest.cache_clear()
    assert source_digest("scorer_of_a_test") != before
    assert source_digest("scorer_of_a_test.sums") != of_sums
    with pytest.raises(ModuleNotFoundError):
        source_digest("qcompare.no_such_module")


def write(text: str) -> Any:
    return lambda folder: (folder / "value.txt").write_text(text) and None


def fail(folder: Path) -> None:
    raise AssertionError("made again")


def test_an_abort_costs_the_entry_that_was_being_made_and_no_other(tmp_path: Path) -> None:
    cache, other = Cache(tmp_path), replace(KEY, inputs={"seed": 43})
    cache.entry(KEY, write("first"))

    def stop(folder: Path) -> None:
        (folder / "value.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.entry(other, stop)
    assert cache.find(other) is None
    assert (cache.entry(KEY, fail) / "value.txt").read_text() == "first"
    assert (cache.entry(other, write("second")) / "value.txt").read_text() == "second"
    assert cache.find(other)


def test_a_damaged_entry_is_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = Cache(tmp_path)
    (cache.entry(KEY, write("right")) / "value.txt").write_text("wrong")
    assert cache.find(KEY) is None
    assert (cache.entry(KEY, write("right")) / "value.txt").read_text() == "right"
    assert "value.txt has changed since it was written: computed again" in capsys.readouterr().out
    (cache.entry(KEY, fail) / "seal.json").unlink()
    assert (cache.entry(KEY, write("new")) / "value.txt").read_text() == "new"


def make_slowly(folder: Path, made: Any) -> None:
    def make(draft: Path) -> None:
        time.sleep(0.3)
        made.put(1)
        (draft / "value.txt").write_text("value")

    assert (Cache(folder).entry(KEY, make) / "value.txt").read_text() == "value"


def test_of_two_processes_at_once_one_makes_the_entry_and_both_use_it(tmp_path: Path) -> None:
    """Version 0.1 let the second job of a study remove the first one's draft, which then failed."""
    context = multiprocessing.get_context("fork")
    made = context.Queue()
    both = [context.Process(target=make_slowly, args=(tmp_path, made)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
    assert [process.exitcode for process in both] == [0, 0]
    assert made.get(timeout=5) == 1
    assert made.empty()


@settings(max_examples=20)
@given(st.dictionaries(st.binary(max_size=4), st.binary(max_size=9), max_size=6))
def test_rows_are_read_back(values: dict[bytes, bytes]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        rows = Cache(Path(folder)).rows(KEY)
        rows.put(values)
        assert Rows(rows.path).get([*values, b"never kept"]) == values


def test_a_damaged_row_is_not_used(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "a.sqlite")
    rows.put({b"a": b"1", b"b": b"2"})
    with closing(sqlite3.connect(rows.path)) as db, db:
        db.execute("UPDATE rows SET value = ? WHERE key = ?", [b"3", b"a"])
    assert rows.get([b"a", b"b"]) == {b"b": b"2"}
