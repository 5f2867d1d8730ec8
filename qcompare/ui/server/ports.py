"""Ports on which the app can listen."""

import socket
import sys
from collections.abc import Iterator

from qcompare.errors import QCompareError
from qcompare.settings import Settings
from qcompare.ui.server.roles import OF_SPACE, on_space

TRIES = 100
"""Ports after the default one."""
LAST = 65535


def free_ports(settings: Settings) -> Iterator[int]:
    """The ports that are free now, in the order in which they are to be tried: only the one that the user named, or
    the default and those after it.

    Raises:
        QCompareError: instead of the first: the named port is taken, or none of them can be used; and at the end.
    """
    host = OF_SPACE if on_space() else settings.host.strip("[]")
    named = settings.names_port or on_space()
    problem = ""
    for port in [settings.port] if named else range(settings.port, min(settings.port + TRIES, LAST) + 1):
        if (wrong := why_not(host, port)) is None:
            yield port
        else:
            problem = problem or wrong
    if named:
        raise QCompareError("port {port} is taken: choose another one with QCOMPARE_PORT", port=settings.port)
    raise QCompareError(
        "no port from {port} on can be used on host {host} ({reason}): choose others with QCOMPARE_HOST and "
        "QCOMPARE_PORT",
        port=settings.port,
        host=host,
        reason=problem or "taken",
    )


def why_not(host: str, port: int) -> str | None:
    """Why nothing can listen there, as the system says it; None where it can.

    Nothing is held for the caller: another process may take the port a moment later.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            if sys.platform == "win32":  # where SO_REUSEADDR lets two processes have the same port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:  # a server that has just ended leaves its port in TIME_WAIT
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return None
