"""The body of a request: no larger and no slower than allowed."""

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import Message, Receive

PATIENCE_SECONDS = 20.0
"""How long the next part of a body may take."""
SLOWEST = 5_000
"""Bytes per second of a whole body, once it has taken longer than one part may."""


class LimitedBody:
    """ASGI's `receive`, cut off where the body is too large or too slow: as if its sender had gone."""

    def __init__(self, receive: Receive, most: int, headers: Headers) -> None:
        self._receive, self._most = receive, most
        self._size, self._begun = 0, time.monotonic()
        self._complete = "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"
        self._again: list[Message] = []
        self.refused = 0
        """The status that says why it was cut off; 0: it was not."""

    def announced_too_large(self, headers: Headers) -> bool:
        """The request says itself that it is too large."""
        length = headers.get("content-length", "0")
        return not length.isdecimal() or int(length[:20]) > self._most

    async def __call__(self) -> Message:
        """As ASGI asks: the next part."""
        if self._again:
            return self._again.pop()
        if self._complete:
            return await self._receive()  # waits until the sender goes
        if self.refused:
            return {"type": "http.disconnect"}
        try:
            message = await asyncio.wait_for(self._receive(), PATIENCE_SECONDS)
        except TimeoutError:
            return self._refuse(408)
        if message["type"] != "http.request":
            return message
        self._size += len(message.get("body", b""))
        self._complete = not message.get("more_body")
        if self._size > self._most:
            return self._refuse(413)
        took = time.monotonic() - self._begun
        if not self._complete and took > PATIENCE_SECONDS and self._size < SLOWEST * took:
            return self._refuse(408)
        return message

    async def read(self) -> bytes:
        """The whole body, which the app can read afterwards all the same; what came of one that was cut off."""
        parts = []
        while not self._complete and not self.refused:
            message = await self()
            if message["type"] != "http.request":
                break
            parts.append(message.get("body", b""))
        body = b"".join(parts)
        if self._complete and not self.refused:
            self._again.append({"type": "http.request", "body": body, "more_body": False})
        return body

    async def drain(self, most: int = 4_000_000, seconds: float = 2.0) -> None:
        """Take in and forget a little more, so that a client which is still sending gets to read the answer."""
        end = time.monotonic() + seconds
        while most > 0 and not self._complete and (left := end - time.monotonic()) > 0:
            try:
                message = await asyncio.wait_for(self._receive(), left)
            except TimeoutError:
                return
            if message["type"] != "http.request" or not message.get("more_body"):
                return
            most -= len(message.get("body", b""))

    def _refuse(self, status: int) -> Message:
        self.refused = status
        return {"type": "http.disconnect"}
