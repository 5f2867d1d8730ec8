"""Logs of any length: what is new since an offset, lines that hold a word, the whole in pieces; never all at once."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

AT_ONCE = 64_000
"""Bytes given in one piece: of what lies before it, a reader that comes late is told that it was left out."""
CHUNK = 1_000_000
LINE_BYTES = 2_000
"""Of a found line that are given."""
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""Escape sequences of terminals (ECMA-48): colours, cursor movements, titles."""


@dataclass(frozen=True)
class Piece:
    """Part of a log."""

    lines: str
    """Whole lines, carriage returns of progress bars resolved, without a terminal's colours."""
    rest: str
    """The line that is still being written."""
    next: int
    """Offset to ask from the next time."""
    size: int
    """Bytes of the whole log."""
    skipped: bool
    """What lies between the asked offset and this piece was too much to give."""


@dataclass(frozen=True)
class Found:
    """The last lines of a log that hold a word."""

    lines: tuple[str, ...]
    more: bool
    """Earlier lines were not looked at, since these are many already."""


def read_since(log: Path, offset: int, at_once: int = AT_ONCE) -> Piece:
    """What a log holds after an offset, at most its end.

    Args:
        offset: bytes; one beyond the end (the log was begun anew) reads from the start.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            asked = offset if 0 <= offset <= size else 0
            start = max(asked, size - at_once)
            file.seek(start)
            data = file.read(size - start)
    except FileNotFoundError:
        return Piece("", "", 0, 0, False)
    if start > asked:  # begin with a whole line
        cut = data.find(b"\n") + 1
        start, data = start + cut, data[cut:]
    end = data.rfind(b"\n") + 1
    return Piece(_text(data[:end]), _text(data[end:]), start + end, size, start > asked)


def find_lines(log: Path, word: str, limit: int = 200) -> Found:
    """The last lines that hold a word, whatever its case, oldest first. Reads backwards until there are enough."""
    needle = word.lower().encode()
    found: list[str] = []
    for data in _backwards(log):
        if len(found) >= limit:
            return Found(tuple(found[-limit:]), True)
        if needle in data.lower():
            lines = [line for line in data.split(b"\n") if needle in line.lower()]
            found = [_text(line[-LINE_BYTES:]) for line in lines[-limit - 1 :]] + found
    return Found(tuple(found[-limit:]), len(found) > limit)


def _backwards(log: Path) -> Iterator[bytes]:
    """The log in pieces of whole lines, the last first; lines longer than a piece are cut."""
    try:
        with log.open("rb") as file:
            place, begun = file.seek(0, os.SEEK_END), b""
            while place > 0:
                step = min(CHUNK, place)
                place -= step
                file.seek(place)
                data = file.read(step) + begun
                cut = data.find(b"\n") + 1 if place > 0 else 0
                begun = data[:cut]
                yield data[cut:]
    except FileNotFoundError:
        return


def in_pieces(log: Path, size: int) -> Iterator[bytes]:
    """The first bytes of a log, which may grow meanwhile."""
    left = size
    with log.open("rb") as file:
        while left > 0 and (data := file.read(min(CHUNK, left))):
            left -= len(data)
            yield data


def _text(data: bytes) -> str:
    return resolve_carriage_returns(ANSI.sub("", data.decode("utf-8", errors="replace")))


def resolve_carriage_returns(text: str) -> str:
    """Each line as a terminal would show it: what follows the last carriage return.

    >>> resolve_carriage_returns("loading 10%\\rloading 100%\\ndone")
    'loading 100%\\ndone'
    """
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
