"""Uploads: files of kinds that are not used are refused; what one visitor has uploaded is not shown to another."""

import json
import os
from collections import OrderedDict
from pathlib import Path

from gradio.utils import get_upload_folder
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

from qcompare.ui.server.roles import Visitor, visitor
from qcompare.words import gettext

KINDS = (".zip", ".yaml", ".yml", ".csv", ".jsonl", ".xlsx", ".gguf")
"""Packed studies, study files, questions, checkpoints."""
KEPT = 10_000
"""Uploaded files whose owners are remembered."""


class Uploads:
    """What was uploaded to one server, and by whom."""

    def __init__(self) -> None:
        self._owners: OrderedDict[Path, frozenset[str]] = OrderedDict()

    def checked(self, send: Send) -> Send:
        """Answers to an upload pass only where the files are of a known kind; others are removed again."""
        start: list[Message] = []
        body = bytearray()
        who = visitor()

        async def check(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.append(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            paths = _paths(bytes(body))
            if any(path.suffix.lower() not in KINDS for path in paths):
                for path in paths:
                    path.unlink(missing_ok=True)
                start[0]["status"] = 415
                body[:] = gettext("Files of this kind are not taken: only {kinds}.", kinds=", ".join(KINDS)).encode()
                MutableHeaders(scope=start[0])["content-type"] = "text/plain; charset=utf-8"
            else:
                self._note(paths, who)
            MutableHeaders(scope=start[0])["content-length"] = str(len(body))
            await send(start[0])
            await send({"type": "http.response.body", "body": bytes(body)})

        return check

    def may_read(self, name: str, who: Visitor) -> bool:
        """Nobody else has uploaded this file: gradio would serve it to whoever knows its name."""
        owners = self._owners.get(_path(name))
        return owners is None or who.key in owners

    def may_name(self, name: str) -> bool:
        """The visitor has uploaded this file, or it was uploaded before this server was started."""
        return _path(name).is_relative_to(_path(get_upload_folder())) and self.may_read(name, visitor())

    def _note(self, paths: list[Path], who: Visitor) -> None:
        for path in paths:
            self._owners[path] = self._owners.get(path, frozenset()) | {who.key}
            self._owners.move_to_end(path)
        while len(self._owners) > KEPT:
            self._owners.popitem(last=False)


def _path(name: str) -> Path:
    return Path(os.path.abspath(name))  # as gradio: links are not followed


def _paths(body: bytes) -> list[Path]:
    """The uploaded files: gradio answers with a list of their paths."""
    try:
        return [_path(path) for path in json.loads(body)]
    except (ValueError, TypeError):
        return []
