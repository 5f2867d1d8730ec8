"""Messages as fields of records: in JSON they are their English text."""

from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from qcompare.words import NOTHING, Message, verbatim


def _message(value: object) -> object:
    return (verbatim(value) if value else NOTHING) if isinstance(value, str) else value


Text = Annotated[Message, BeforeValidator(_message), PlainSerializer(str, return_type=str)]
