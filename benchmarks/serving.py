"""An app for benchmarks: a process of its own on a free port."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

START_SECONDS = 120.0
APP = (sys.executable, "app.py")


@contextmanager
def serve(
    home: Path, command: Sequence[str] = APP, root: Path | None = None, **settings: str
) -> Iterator[tuple[str, psutil.Popen]]:
    """Run the app on a home until the block ends; gives its address, without a slash at the end, and its process.

    Args:
        command: what runs the app.
        root: the checkout to run it in; default: this one.
        settings: environment variables.

    Raises:
        TimeoutError: it does not answer; the message is its log.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"QCOMPARE_HOME": str(home), "QCOMPARE_PORT": str(port), "QCOMPARE_OFFLINE": "true"}
    if root:
        own["PYTHONPATH"] = str(root)
    log = home / "app.log"
    with log.open("w") as out:
        app = psutil.Popen(command, cwd=root, env=os.environ | own | settings, stdout=out, stderr=subprocess.STDOUT)
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
    try:
        while not _answers(address):
            if time.monotonic() > end or app.poll() is not None:
                raise TimeoutError(log.read_text())
            time.sleep(0.2)
        yield address, app
    finally:
        app.terminate()
        app.wait()


def _answers(address: str) -> bool:
    try:
        httpx.get(address, timeout=5)
    except httpx.HTTPError:
        return False
    return True
