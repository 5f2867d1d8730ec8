"""The row budget of a study: how many tokens one forward pass of its scoring may hold, noted in a file.

Another budget packs other rows, whose sums are added in another order; recipes that are compared must not differ by
that. So the first job notes the number before it scores, and all others take it. It is a power of two, so that two
machines or two moments with a little more or less free memory find the same number.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from filelock import FileLock

from qcompare.store.moving import replace


def power_of_two(tokens: int) -> int:
    """The largest power of two that is at most `tokens`; at least 1."""
    return 1 << max(0, tokens.bit_length() - 1)


class StudyBudget:
    """The noted number; several processes may ask at once."""

    def __init__(self, folder: Path) -> None:
        """`folder` is that of the study."""
        self.path = folder / "row_tokens"

    def read(self) -> int | None:
        """Tokens; None before the first job scores."""
        try:
            return int(self.path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def agree(self, tokens: int, most: int | None = None) -> int:
        """The number that this job must use: the noted one, else `tokens`, which is then noted for all others.

        Args:
            most: an upper limit of this job, such as a retry after an out-of-memory has; it lowers the noted number.
        """
        with self._lock():
            known = self.read()
            found = power_of_two(tokens) if known is None else known
            if most is not None:
                found = min(found, power_of_two(most))
            if found != known:
                self._write(found)
        return found

    def lower(self, tokens: int) -> None:
        """Tell the jobs to come that no more than this fits; the noted number is never raised."""
        with self._lock():
            known = self.read()
            if known is None or tokens < known:
                self._write(tokens)

    def _lock(self) -> AbstractContextManager[object]:
        return FileLock(self.path.with_suffix(".lock"))

    def _write(self, tokens: int) -> None:
        draft = self.path.with_suffix(f".{os.getpid()}")
        draft.write_text(str(tokens), encoding="utf-8")
        replace(draft, self.path)


class RemoteBudget(StudyBudget):
    """The number below a folder or an fsspec URL, where machines without a common disk find it; without locks.

    The first machine creates the file. Where files cannot be created exclusively, the last of those that begin in the
    same moment wins.
    """

    def __init__(self, url: str) -> None:
        """`url` is that of the study's folder."""
        from fsspec.core import url_to_fs  # which nothing but a node needs

        self._fs, folder = url_to_fs(url)
        self._file = f"{folder}/row_tokens"

    def read(self) -> int | None:
        """Tokens; None before the first job scores."""
        try:
            return int(self._fs.cat_file(self._file))
        except (FileNotFoundError, ValueError):
            return None

    def agree(self, tokens: int, most: int | None = None) -> int:
        """As for a folder of this machine."""
        if self.read() is None:
            self._create(power_of_two(tokens))
        return super().agree(tokens, most)

    def _create(self, tokens: int) -> None:
        try:
            with self._fs.open(self._file, "xb") as file:
                file.write(str(tokens).encode())
        except FileExistsError:
            return
        except (ValueError, NotImplementedError):  # there is no exclusive creation here
            self._write(tokens)

    def _lock(self) -> AbstractContextManager[object]:
        return nullcontext()

    def _write(self, tokens: int) -> None:
        self._fs.pipe_file(self._file, str(tokens).encode())
