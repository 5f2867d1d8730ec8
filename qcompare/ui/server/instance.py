"""The app that serves a home. It holds a lock as long as it lives, and notes in a file where it is reached.

The system frees the lock when its holder dies, so the file of a dead process is never used.
"""

import os
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import psutil
from pydantic import ValidationError

from qcompare.jobs.executors.locks import exclusive
from qcompare.settings import Settings
from qcompare.store.moving import replace
from qcompare.study.frozen import Frozen

LOCK, NOTE = "app.lock", "app.json"
ANSWER_SECONDS = 2.0


class Instance(Frozen):
    """A running app."""

    pid: int
    address: str
    """As browsers of this machine reach it."""
    host: str
    port: int
    role: str | None
    """The setting; None: by the host."""

    def fits(self, settings: Settings) -> bool:
        """It is what these settings ask for; the default port stands for any."""
        same_port = not settings.names_port or settings.port == self.port
        return same_port and (settings.host, settings.role) == (self.host, self.role)

    def answers(self) -> bool:
        """Something serves HTTP there."""
        try:
            # as a server of this machine: without the proxies that the environment names
            httpx.get(f"{self.address}manifest.json", timeout=ANSWER_SECONDS, trust_env=False)
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return True


def only_instance(home: Path) -> AbstractContextManager[bool]:
    """Be the app of a home for the block; gives False where another process is."""
    return exclusive(home / LOCK, wait=False)


def note_instance(home: Path, settings: Settings, address: str, port: int) -> None:
    """Note where this process, the app of a home, is reached."""
    found = Instance(pid=os.getpid(), address=address, host=settings.host, port=port, role=settings.role)
    draft = home / f".{NOTE}.{os.getpid()}"
    draft.write_text(found.model_dump_json(), encoding="utf-8")
    replace(draft, home / NOTE)


def forget_instance(home: Path) -> None:
    """Remove what an earlier app of the home noted; for the holder of the lock."""
    (home / NOTE).unlink(missing_ok=True)


def find_instance(home: Path) -> Instance | None:
    """The app that serves a home now, or None; what a dead one noted is removed."""
    with only_instance(home) as none:
        if none:
            forget_instance(home)
            return None
    return read_instance(home)


def read_instance(home: Path) -> Instance | None:
    """What the app of a home noted; None before it has, and where its process is gone."""
    try:
        found = Instance.model_validate_json((home / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
    return found if psutil.pid_exists(found.pid) else None
