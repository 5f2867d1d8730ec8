"""The command and the environment mark that the system shows of a forked process, as `ps` and psutil read them.

Both are read from the memory in which the kernel laid them out when the program was started. A fork inherits that
memory, and so would show its parent's; here the fork writes its own there, as setproctitle does. The parent is
started with blanks in both places, so that there is room.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path

from qcompare.jobs.executors.processes import MARK, mark

MAX_NAME = 255
"""Bytes of a job's id, which is the name of a folder."""
BLANK_ARGUMENT = " " * (2 * MAX_NAME)
FILLER = b"\0QCOMPARE_FILLER="
"""A variable that takes the room which is left: nothing may follow two NULs."""
FIRST_FIELD = 45
"""Of arg_start, arg_end, env_start and env_end in `/proc/self/stat`, counted from the state (proc(5))."""


def blank_mark(home: Path) -> str:
    """In place of a job's mark, in the environment of a process that will fork jobs."""
    return "x" * (len(mark(home, "x" * MAX_NAME).encode()) + len(FILLER))


def set_title(command: Sequence[str], job_mark: str) -> None:
    """Show another command and mark of this process, which was started with blanks for both."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    arg_start, arg_end, env_start, env_end = map(int, fields[FIRST_FIELD : FIRST_FIELD + 4])
    text = " ".join(command).encode() + b"\0"
    # A last byte that is not NUL tells the kernel that this is a title: it shows what comes before the first NUL.
    ctypes.memmove(arg_start, text.ljust(arg_end - arg_start, b"x"), arg_end - arg_start)
    block = ctypes.string_at(env_start, env_end - env_start)
    start = block.index(f"{MARK}=x".encode())
    room = block.index(b"\0", start) - start
    entry = f"{MARK}={job_mark}".encode() + FILLER
    ctypes.memmove(env_start + start, entry.ljust(room, b"x"), room)
