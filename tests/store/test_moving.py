"""Renames that hold on Windows too, which refuses to touch what another process has open."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qcompare.store import moving
from qcompare.store.moving import replace, replace_folder


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """`os.replace` as on Windows: it refuses so many times, and folders that exist for ever; gives its calls."""

    def make(refusals: int) -> list[int]:
        real, calls = os.replace, list[int]()

        def refuse(source: Path, target: Path) -> None:
            calls.append(len(calls))
            if len(calls) <= refusals or Path(target).is_dir():
                raise PermissionError(13, "Access is denied")
            real(source, target)

        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setattr(os, "replace", refuse)
        return calls

    return make


def files(folder: Path) -> tuple[Path, Path]:
    (folder / "new").write_text("new", encoding="utf-8")
    (folder / "old").write_text("old", encoding="utf-8")
    return folder / "new", folder / "old"


def test_what_a_reader_has_open_is_replaced_later(tmp_path: Path, windows: Callable[[int], list[int]]) -> None:
    new, old = files(tmp_path)
    calls = windows(3)
    replace(new, old)
    assert (len(calls), old.read_text(encoding="utf-8"), new.exists()) == (4, "new", False)


def test_what_stays_open_is_an_error_in_the_end(
    tmp_path: Path, windows: Callable[[int], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "SHARING_SECONDS", 0.2)
    new, old = files(tmp_path)
    windows(1_000_000)
    with pytest.raises(PermissionError):
        replace(new, old)
    assert old.read_text(encoding="utf-8") == "old"


def test_elsewhere_a_refusal_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def refuse(source: Path, target: Path) -> None:
        calls.append(source)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError):
        replace(*files(tmp_path))
    assert len(calls) == 1


@pytest.mark.parametrize("refusals", [0, 2])
def test_a_folder_takes_the_place_of_another(
    tmp_path: Path, windows: Callable[[int], list[int]], refusals: int
) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").touch()
    windows(refusals)
    replace_folder(tmp_path / "new", tmp_path / "old")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["new.txt"]
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "new", tmp_path / "third")
