"""The app in a window of its own, through pywebview (optional); without it, in the browser.

pywebview needs the main thread (pywebview #1753) and so does gradio's queue (gradio #11007): the server is a process
of its own, this module run as a program. It ends with the window, also when the window's process is killed: then its
standard input ends. Jobs that run go on.
"""

import logging
import signal
import subprocess
import sys
import threading
import time
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from qcompare.errors import QCompareError
from qcompare.jobs.executors.processes import child_environment, own_session
from qcompare.settings import Settings
from qcompare.ui.assets import ICON
from qcompare.ui.display import has_display
from qcompare.ui.server.instance import Instance, find_instance, read_instance
from qcompare.ui.start import POLL_SECONDS, open_browser, start
from qcompare.ui.texts import PRODUCT

SERVER = (sys.executable, "-m", "qcompare.ui.desktop")
SIZE, LEAST = (1280, 860), (390, 600)
"""Of the window, in pixels."""
GRACE_SECONDS = 10.0
"""For the server to end."""
Server = subprocess.Popen[bytes]


def start_in_window(settings: Settings) -> None:
    """Show the app in a window until it is closed, or in the browser where no window can be opened.

    Raises:
        QCompareError: as for `start`.
    """
    if problem := why_no_window():
        _say_browser(problem)
        return start(settings)
    with _served(settings) as (found, server):
        try:
            _show(found.address, settings.home / "window", server)
        except Exception as error:  # toolkits raise many kinds
            _say_browser(str(error))
            open_browser(found.address)
            if server:
                server.wait()


def why_no_window() -> str | None:
    """Why no window can be opened here; None where one may be."""
    if find_spec("webview") is None:
        return "pywebview is not installed: pip install 'qcompare[desktop]'"
    return None if has_display() else "there is no display"


def _say_browser(problem: str) -> None:
    line = " ".join(problem.split())
    print(f"qcompare: no window can be opened ({line}); the browser is used instead", file=sys.stderr, flush=True)


def _show(address: str, storage: Path, server: Server | None) -> None:
    """A window on an address; returns when it is closed, or when its server has ended."""
    webview = import_module("webview")
    logging.getLogger("pywebview").setLevel(logging.CRITICAL)  # it prints a traceback for each toolkit it lacks
    webview.settings["ALLOW_DOWNLOADS"] = True
    width, height = SIZE
    window = webview.create_window(
        PRODUCT, address, width=width, height=height, min_size=LEAST, text_select=True, zoomable=True
    )
    if server:
        threading.Thread(target=_close_after, args=[window, server], daemon=True).start()
    icon = None if sys.platform == "win32" else str(ICON)  # Windows takes that of the program
    webview.start(private_mode=False, storage_path=str(storage), icon=icon)


def _close_after(window: object, server: Server) -> None:
    server.wait()
    with suppress(Exception):  # it is closed already
        window.destroy()  # type: ignore[attr-defined]


@contextmanager
def _served(settings: Settings) -> Iterator[tuple[Instance, Server | None]]:
    """An app of the home: the one that is open, or one in a process of its own, which ends with the block."""
    found = find_instance(settings.home)
    if found and found.fits(settings) and found.answers():
        yield found, None
        return
    server = subprocess.Popen(
        SERVER, env=child_environment(settings), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, **own_session()
    )
    try:
        yield _wait_for(server, settings), server
    finally:
        assert server.stdin is not None
        server.stdin.close()
        try:
            server.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for(server: Server, settings: Settings) -> Instance:
    while True:
        ended = server.poll()
        found = read_instance(settings.home)
        if found and found.fits(settings) and found.answers():
            return found
        if ended is not None:
            sys.exit(ended)  # it has said why
        time.sleep(POLL_SECONDS)


def _end_with_input() -> None:
    """Interrupt the server when its standard input ends: when its window is closed, or the window's process gone."""
    sys.stdin.buffer.read()
    interrupt_main()


def main() -> None:
    """The server of a window."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start what runs in the background without it
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        start(Settings.read(), browser=False)
    except QCompareError as error:
        print(f"qcompare: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
