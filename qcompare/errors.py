"""The errors a user can meet. Each is shown as one line: what is wrong, what is allowed, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches

from qcompare.words import say


class QCompareError(Exception):
    """Base of every error that is meant for the user; anything else is a bug."""


class InvalidStudy(QCompareError):
    """The study asks for something that does not exist or cannot be done."""


class ModelUnavailable(QCompareError):
    """The model or its data cannot be found, fetched or trusted."""


class NotFound(QCompareError):
    """No study, job or result of that name is stored."""


class JobError(QCompareError):
    """A job cannot go on."""


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """One line for a name that does not exist: the nearest known one first, then all of them.

    >>> unknown("scheme", "MXPF4", ["MXFP4", "MXFP8"])
    "unknown scheme 'MXPF4': did you mean 'MXFP4'? Known: MXFP4, MXFP8"
    """
    names = list(known)
    near = get_close_matches(str(name), names, n=1, cutoff=0.5)
    shown = str(name) if len(str(name)) <= 60 else str(name)[:57] + "…"
    said = {"kind": say(kind), "name": shown, "known": ", ".join(names)}
    if near:
        return say("unknown {kind} '{name}': did you mean '{near}'? Known: {known}", near=near[0], **said)
    return say("unknown {kind} '{name}': Known: {known}", **said)
