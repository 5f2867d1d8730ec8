"""How messages are stored: `{"text": template, "values": {…}}`, in English, to be translated where they are shown.

Version 0.1 stored plain strings; they are read as messages without values.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from qcompare.words import Message


def read_message(stored: Any) -> Message:
    """A message from what is stored: a mapping, the same as JSON, or a plain string of version 0.1."""
    if isinstance(stored, Message):
        return stored
    if isinstance(stored, Mapping):
        values = stored.get("values") or {}
        return Message(str(stored["text"]), {name: _read(value) for name, value in values.items()})
    if str(stored).startswith('{"text":'):
        return read_message(json.loads(stored))
    return Message(str(stored))


def write_message(message: Message) -> dict[str, Any]:
    """A message as plain values."""
    return {"text": message.template, "values": {name: _plain(value) for name, value in message.values.items()}}


def message_column(message: Message | str | None) -> str | None:
    """A message as the text of a column of the index."""
    return None if message is None else json.dumps(write_message(read_message(message)), ensure_ascii=False)


def _read(value: Any) -> object:
    if isinstance(value, list):
        return tuple(_read(each) for each in value)
    return read_message(value) if isinstance(value, Mapping) else value


def _plain(value: object) -> Any:
    if isinstance(value, Message):
        return write_message(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


StoredMessage = Annotated[Message, PlainValidator(read_message), PlainSerializer(write_message)]
"""A message in a stored record."""

EnglishMessage = Annotated[Message, PlainValidator(read_message), PlainSerializer(str, return_type=str)]
"""A message in what programs read: a plain English string."""
