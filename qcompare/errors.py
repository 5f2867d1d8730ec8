"""The errors a user can meet. Each is shown as one line: what is wrong, what is allowed, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches

from qcompare.words import Message, gettext_noop

MANY = 40
"""Names; of more than these an error lists half as many."""


class QCompareError(Exception):
    """Base of every error that is meant for the user; anything else is a bug.

    It carries its message as an English template and the values apart, so that it can be stored, and translated where
    it is shown: `raise InvalidStudy("{path}: cannot be read", path=path)`. `str` gives it in English.
    """

    def __init__(self, message: str | Message, /, **values: object) -> None:
        self.message = Message(message, values) if isinstance(message, str) else message
        super().__init__(str(self.message))


class InvalidStudy(QCompareError):
    """The study asks for something that does not exist or cannot be done."""


class InvalidValue(ValueError):
    """One value of a study is wrong: for validators, whose errors pydantic collects. Carries a message likewise."""

    def __init__(self, message: str | Message, /, **values: object) -> None:
        self.message = Message(message, values) if isinstance(message, str) else message
        super().__init__(str(self.message))


class ModelUnavailable(QCompareError):
    """The model or its data cannot be found, fetched or trusted."""


class NotFound(QCompareError):
    """No study, job or result of that name is stored."""


class JobError(QCompareError):
    """A job cannot go on."""


def unknown(kind: str, name: object, known: Iterable[str]) -> Message:
    """One line for a name that does not exist: the nearest known one first, then all of them, or the nearest of many.

    >>> str(unknown("scheme", "MXPF4", ["MXFP4", "MXFP8"]))
    "unknown scheme 'MXPF4': did you mean 'MXFP4'? Known: MXFP4, MXFP8"
    """
    names = list(known)
    near = get_close_matches(str(name), names, n=1, cutoff=0.5)
    if len(names) > MANY:
        names = [*get_close_matches(str(name), names, n=MANY // 2, cutoff=0.0), "…"]
    shown = str(name) if len(str(name)) <= 60 else str(name)[:57] + "…"
    values = {"kind": Message(kind), "name": shown, "known": ", ".join(names)}
    if near:
        text = gettext_noop("unknown {kind} '{name}': did you mean '{near}'? Known: {known}")
        return Message(text, {**values, "near": near[0]})
    return Message(gettext_noop("unknown {kind} '{name}': Known: {known}"), values)
