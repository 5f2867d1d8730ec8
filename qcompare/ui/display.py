"""Whether windows can be shown here, and whether somebody would see them."""

import os
import sys

from qcompare.ui.server.roles import on_space


def has_display() -> bool:
    """Windows can be shown: a desktop, or a display that the environment names (X11, Wayland)."""
    if on_space():
        return False
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def sits_at_screen() -> bool:
    """There is a display, and this is no session from another machine."""
    return has_display() and not (os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))
