"""The supervisor's process: one per home, started whenever there is work and none runs."""

import sqlite3
import subprocess
import sys
import threading
import time

from qcompare.jobs.executors.locks import exclusive
from qcompare.jobs.executors.processes import child_environment, own_session
from qcompare.settings import Settings
from qcompare.store import Store

SUPERVISOR = (sys.executable, "-m", "qcompare.jobs.supervisor")
LOCK = "supervisor.lock"
"""In the home; held by its supervisor."""
WATCH_SECONDS = 1.0
"""Of the app and a watching command line, between two looks whether a supervisor is at work."""


def ensure_running(settings: Settings) -> None:
    """Start a supervisor for this home unless one runs."""
    with exclusive(settings.home / LOCK, wait=False) as free:
        if not free:
            return
    with (settings.home / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            SUPERVISOR,
            env=child_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **own_session(),
        )
    # Somebody must take note of its end, or it stays behind as a zombie.
    threading.Thread(target=process.wait, name="supervisor-reaper", daemon=True).start()


def watch_over(settings: Settings) -> None:
    """As long as this process lives, start another supervisor whenever there is work and none does it."""
    threading.Thread(target=_watch_over, args=[settings], name="supervisor-watch", daemon=True).start()


def _watch_over(settings: Settings) -> None:
    while True:
        try:
            if Store(settings.home).work_left():
                ensure_running(settings)
        except (sqlite3.Error, OSError) as error:  # a full disk: look again later
            print(error, file=sys.stderr, flush=True)
        time.sleep(WATCH_SECONDS)
