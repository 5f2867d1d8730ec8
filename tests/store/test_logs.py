"""Logs are read in pieces, however long they are."""

from pathlib import Path

import pytest

from qcompare.store.logs import CHUNK, find_lines, in_pieces, read_since


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.txt"
    path.write_text("".join(f"line {n}\n" for n in range(1000)), encoding="utf-8")
    return path


def append(log: Path, text: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(text)


def test_a_reader_gets_every_line_once(log: Path) -> None:
    seen, offset = "", 0
    for text in ("", "one\ntw", "o\n", "", "loading 1%\rloading 2%", "\rloading 100%\nend\n"):
        append(log, text)
        piece = read_since(log, offset)
        seen, offset = seen + piece.lines, piece.next
    assert seen.splitlines()[-5:] == ["line 999", "one", "two", "loading 100%", "end"]
    assert len(seen.splitlines()) == 1004


def test_the_unfinished_line_is_given_apart(log: Path) -> None:
    append(log, "50%\r60%")
    assert read_since(log, log.stat().st_size - 7).rest == "60%"


def test_a_late_reader_gets_the_end_in_whole_lines_and_is_told(log: Path) -> None:
    piece = read_since(log, 0, at_once=20)
    assert (piece.lines, piece.skipped) == ("line 998\nline 999\n", True)
    assert not read_since(log, piece.next, at_once=20).skipped


def test_a_log_that_was_begun_anew_is_read_from_its_start(log: Path) -> None:
    old = read_since(log, 0).next
    log.write_text("fresh\n")
    assert read_since(log, old).lines == "fresh\n"


def test_one_endless_line_stays_small(log: Path) -> None:
    append(log, "x" * 500_000)
    piece = read_since(log, 0)
    assert len(piece.rest) <= 64_000 and piece.lines == ""


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_since(tmp_path / "none", 7).size == 0
    assert find_lines(tmp_path / "none", "x").lines == ()


def test_found_lines_are_the_last_ones_whatever_their_case(log: Path) -> None:
    append(log, "Error: ünfug\n")
    assert find_lines(log, "ERROR").lines == ("Error: ünfug",)
    found = find_lines(log, "line", limit=3)
    assert (found.lines, found.more) == (("line 997", "line 998", "line 999"), True)


def test_lines_are_found_across_the_borders_of_pieces(tmp_path: Path) -> None:
    log = tmp_path / "long.txt"
    lines = [f"{n}: {'y' * 5000}" for n in range(3 * CHUNK // 5000)]
    log.write_text("\n".join(lines), encoding="utf-8")
    for n in (0, 199, 200, 399, len(lines) - 1):
        assert len(find_lines(log, f"{n}: y").lines) >= 1, n
    assert len(find_lines(log, ": y", limit=10_000).lines) == len(lines)


def test_the_whole_log_is_what_it_was_when_asked_for(log: Path) -> None:
    size = log.stat().st_size
    pieces = in_pieces(log, size)
    append(log, "later\n")
    assert b"".join(pieces) == log.read_bytes()[:size]


def test_colours_of_a_terminal_are_left_out(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("\x1b[33;1mWARNING\x1b[0m tuned \x1b[2K\x1b]0;title\x07done\n", encoding="utf-8")
    assert read_since(log, 0).lines == "WARNING tuned done\n"
    assert find_lines(log, "tuned").lines == ("WARNING tuned done",)
