"""Kept rows as plain files: what is put is found by others, and damage costs only the damaged row."""

from pathlib import Path

import pytest

from qcompare.store.row_files import RowFiles


@pytest.mark.parametrize("kind", ["folder", "url"])
def test_rows_are_found_by_another_reader(kind: str, tmp_path: Path) -> None:
    url = str(tmp_path / "rows") if kind == "folder" else f"memory://{tmp_path.name}/rows"
    first, second = RowFiles(url), RowFiles(url)
    assert first.get([b"a"]) == {}
    first.put({b"a": b"1", b"b": b""})
    second.put({b"c": b"3"})
    assert first.get([b"a", b"b"]) == {b"a": b"1", b"b": b""}
    assert RowFiles(url).get([b"a", b"b", b"c", b"d"]) == {b"a": b"1", b"b": b"", b"c": b"3"}


def test_a_file_that_was_cut_short_keeps_its_whole_rows(tmp_path: Path) -> None:
    RowFiles(str(tmp_path)).put({b"a": b"first", b"b": b"second"})
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert RowFiles(str(tmp_path)).get([b"a", b"b"]) == {b"a": b"first"}


def test_a_changed_row_is_not_used(tmp_path: Path) -> None:
    RowFiles(str(tmp_path)).put({b"a": b"first", b"b": b"second"})
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes().replace(b"first", b"worst"))
    assert RowFiles(str(tmp_path)).get([b"a", b"b"]) == {b"b": b"second"}
