"""Uploads: refused while they come in where they are too large, afterwards where they are of no kind that is used."""

import json
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Receive, Send

from qcompare.words import gettext

KINDS = (".zip", ".yaml", ".yml", ".csv", ".jsonl", ".xlsx", ".gguf")
"""Packed studies, study files, questions, checkpoints."""


class SizeLimit:
    """A request's body, cut off where it is larger than allowed."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._left, self._most = receive, most, most

    def announced(self, headers: Headers) -> bool:
        """The request says itself that it is too large."""
        length = headers.get("content-length", "0")
        return not length.isdecimal() or int(length) > self._most

    async def __call__(self) -> Message:
        """As ASGI asks: one part of the body. One that is too large ends like one whose sender has gone."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                return {"type": "http.disconnect"}
        return message


def checked_upload(send: Send) -> Send:
    """Answers to an upload pass only where the files are of a known kind; others are removed again."""
    start: list[Message] = []
    body = bytearray()

    async def check(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.append(message)
            return
        body.extend(message.get("body", b""))
        if message.get("more_body"):
            return
        if strange := _strange(bytes(body)):
            for path in strange:
                path.unlink(missing_ok=True)
            start[0]["status"] = 415
            body[:] = gettext("Files of this kind are not taken: only {kinds}.", kinds=", ".join(KINDS)).encode()
            MutableHeaders(scope=start[0])["content-type"] = "text/plain; charset=utf-8"
        MutableHeaders(scope=start[0])["content-length"] = str(len(body))
        await send(start[0])
        await send({"type": "http.response.body", "body": bytes(body)})

    return check


def _strange(body: bytes) -> list[Path]:
    """The uploaded files, where one is of no known kind; gradio answers with a list of their paths."""
    try:
        paths = [Path(path) for path in json.loads(body)]
    except (ValueError, TypeError):
        return []
    return paths if any(path.suffix.lower() not in KINDS for path in paths) else []
