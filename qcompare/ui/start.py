"""Open the app: serve it or, where it serves this home already, bring that up."""

import sys
import threading
import time
import webbrowser

from qcompare.errors import QCompareError
from qcompare.settings import Settings
from qcompare.ui.display import sits_at_screen
from qcompare.ui.server.instance import LOCK, Instance, forget_instance, note_instance, only_instance, read_instance
from qcompare.ui.server.ports import free_ports
from qcompare.ui.server.roles import Role, on_space, role_of

START_SECONDS = 120.0
"""For another process that has just begun to start the app, on a slow disk."""
POLL_SECONDS = 0.2


def start(settings: Settings, browser: bool | None = None) -> None:
    """Serve the app until interrupted; return at once where it is open already for this home.

    An app that the user asks for by another port, host or role than the open one's is served beside it.

    Args:
        browser: open a browser on it. Default: the setting, else where somebody sits at the screen and no one else is
            let in.

    Raises:
        QCompareError: the port is taken, others could reach the app and no role says what they may do, or another
            process holds the home and does not answer.
    """
    role = role_of(settings)
    wanted = browser if browser is not None else settings.browser
    opens = not on_space() and (wanted if wanted is not None else role is Role.LOCAL and sits_at_screen())
    if on_space():  # its container holds nothing else, and a restart must never stand back
        return _serve(settings, opens, noted=False)
    end = time.monotonic() + START_SECONDS
    while True:
        with only_instance(settings.home) as first:
            if first:
                forget_instance(settings.home)
                return _serve(settings, opens, noted=True)
        found = read_instance(settings.home)
        if found and found.answers():
            return _bring_up(found, opens) if found.fits(settings) else _serve(settings, opens, noted=False)
        if time.monotonic() > end:
            raise QCompareError(
                "{lock} is held by another process{pid}, but no app answers: end that process, or choose another "
                "home with --home",
                lock=settings.home / LOCK,
                pid=f" ({found.pid})" if found else "",
            )
        time.sleep(POLL_SECONDS)


def _serve(settings: Settings, opens: bool, noted: bool) -> None:
    next(free_ports(settings))  # a named port that is taken is said at once
    from qcompare.ui.launch import launch  # imports gradio, which takes seconds: not to bring an app up

    def opened(address: str, port: int) -> None:
        if noted:
            note_instance(settings.home, settings, address, port)
        if opens:  # beside: a browser may keep whoever starts it
            threading.Thread(target=open_browser, args=[address], daemon=True).start()

    launch(settings, opened)


def _bring_up(found: Instance, opens: bool) -> None:
    print(f"qcompare is open already at {found.address}", flush=True)
    if opens:
        open_browser(found.address)


def open_browser(address: str) -> None:
    """Show an address in the user's browser; says on stderr where that cannot be done."""
    try:
        done = webbrowser.open(address)
    except (webbrowser.Error, OSError):
        done = False
    if not done:
        print(f"qcompare: no browser could be opened: open {address} in one", file=sys.stderr, flush=True)
