"""Connections that send no request, or one letter of it a second, are closed; uvicorn would keep them for ever."""

import asyncio
from typing import Any

import h11
from uvicorn import config
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0
"""Until the headers of a connection's next request must be complete."""
FILES = 16_384
"""That the server may have open at once, where the system lets it: each connection is one."""


class HeaderTimeoutProtocol(H11Protocol):
    """HTTP/1.1 whose clients must not take for ever to say what they want."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """As uvicorn; the first request is awaited."""
        super().connection_made(transport)
        self._await_request()

    def on_response_complete(self) -> None:
        """As uvicorn; the next request is awaited."""
        self._await_request()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn."""
        if self._deadline:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _await_request(self) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _give_up(self) -> None:
        waits = self.conn.their_state is h11.IDLE  # its headers are not complete
        if waits and not self.transport.is_closing() and self.transport.get_protocol() is self:
            self.transport.close()


def close_silent_connections() -> None:
    """Let every server that uvicorn starts from now on do so, and have room for many connections.

    Gradio makes uvicorn's configuration by itself and takes the protocol from this table.
    """
    config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{HeaderTimeoutProtocol.__name__}"
    try:
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if 0 <= soft < FILES:
            resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if hard < 0 else min(FILES, hard), hard))
    except (ImportError, OSError, ValueError):
        return  # Windows has no such limit; elsewhere the system's stays
