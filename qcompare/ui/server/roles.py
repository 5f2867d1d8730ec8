"""Who may do what. A role is the whole server's; rights are a visitor's.

- `local`: reached from this machine only; everybody may do everything.
- `team`: visitors log in; the users file says who may launch, cancel, delete, export and push. Everybody may
  read.
- `exhibition`: everybody may read, vote on answers, and ask prompts within limits; named users may do more, as in a
  team.

What is pushed to the hub is pushed with the server's own token, so that is a right of its own.
"""

import ipaddress
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from qcompare.errors import QCompareError
from qcompare.settings import Settings
from qcompare.words import Message, gettext_noop

F = TypeVar("F", bound=Callable[..., Any])
OF_SPACE = "0.0.0.0"
"""A Space is reached from outside its container."""


class Role(StrEnum):
    """Of the server."""

    LOCAL = "local"
    TEAM = "team"
    EXHIBITION = "exhibition"


class Right(StrEnum):
    """What a visitor may do besides reading."""

    ASK = "ask"
    """One's own prompt on recipes that are measured already."""
    VOTE = "vote"
    """A blind vote on answers; whoever may read has it, and it opens nothing else."""
    LAUNCH = "launch"
    """Start, resume and order studies; name and tag them; import and upload files."""
    CANCEL = "cancel"
    """Cancel and pause."""
    DELETE = "delete"
    """Delete studies, and what none needs."""
    EXPORT = "export"
    """Write checkpoints, and studies as files, on the server."""
    PUSH = "push"
    """Upload the checkpoints that one writes to the hub, with the server's token."""


ALL_RIGHTS = frozenset(Right)
RIGHT_WORDS: dict[Right, str] = {
    Right.ASK: gettext_noop("ask prompts"),
    Right.VOTE: gettext_noop("vote on answers"),
    Right.LAUNCH: gettext_noop("start or change studies"),
    Right.CANCEL: gettext_noop("cancel or pause"),
    Right.DELETE: gettext_noop("delete"),
    Right.EXPORT: gettext_noop("write files on the server"),
    Right.PUSH: gettext_noop("upload to the hub"),
}


@dataclass(frozen=True)
class Visitor:
    """Who sends a request."""

    key: str = ""
    """Whose prompts are whose: a user's name, or the random value of an anonymous visitor's cookie."""
    name: str = ""
    """As logged in; empty: nobody in particular."""
    rights: frozenset[Right] = frozenset()
    home: Path | None = None
    """Paths on the server that the visitor names must lie in parts of this home; None: anywhere."""
    address: str = ""
    limited: bool = False
    """The limits of an exhibition hold."""


OWNER = Visitor(rights=ALL_RIGHTS)
"""Whoever sits at this machine."""
NOBODY = Visitor(home=Path("/nonexistent"), limited=True)
_current: ContextVar[Visitor] = ContextVar("visitor", default=OWNER)


class NotAllowed(QCompareError):
    """The visitor has no right to do it."""


def visitor() -> Visitor:
    """The visitor whose request is handled; outside of requests the owner."""
    return _current.get()


@contextmanager
def use_visitor(who: Visitor) -> Iterator[None]:
    """Handle a request of this visitor inside a `with` block."""
    before = _current.set(who)
    try:
        yield
    finally:
        _current.reset(before)


def may(right: Right) -> bool:
    """The visitor has the right."""
    return right in visitor().rights


def require(right: Right) -> None:
    """
    Raises:
        NotAllowed: the visitor does not have the right.
    """
    if not may(right):
        raise NotAllowed(
            "you may not {what} here: ask the owner of this server for the right '{right}'",
            what=Message(RIGHT_WORDS[right]),
            right=right.value,
        )


def needs(right: Right) -> Callable[[F], F]:
    """Mark a handler of the screen: `GuardedBlocks` refuses it to visitors without the right."""

    def mark(handler: F) -> F:
        handler.right = right  # type: ignore[attr-defined]
        return handler

    return mark


def role_of(settings: Settings) -> Role:
    """The role of a server with these settings.

    Raises:
        QCompareError: others could reach it and no role says what they may do, or the role lacks what it needs.
    """
    space = on_space()
    if settings.role is None:
        if space:
            return Role.EXHIBITION
        if is_loopback(settings.host):
            return Role.LOCAL
        raise QCompareError(
            "host {host} lets others in: set QCOMPARE_ROLE to team (login needed) or exhibition (read, ask prompts), "
            "or leave QCOMPARE_HOST at 127.0.0.1",
            host=settings.host,
        )
    role = Role(settings.role)
    if role is Role.LOCAL and (space or not is_loopback(settings.host)):
        raise QCompareError(
            "role local lets everybody do everything, so it needs a loopback host such as 127.0.0.1, got {host}: "
            "choose team or exhibition",
            host=OF_SPACE if space else settings.host,
        )
    if settings.auth_header and (space or not is_loopback(settings.host)):
        raise QCompareError(
            "QCOMPARE_AUTH_HEADER is believed from anyone who reaches the app: let a reverse proxy on this machine "
            "be the only one, with QCOMPARE_HOST at 127.0.0.1, got {host}",
            host=OF_SPACE if space else settings.host,
        )
    if role is Role.TEAM and settings.users_file is None and not settings.auth_header:
        raise QCompareError(
            "role team needs QCOMPARE_USERS, a file that says who may log in and what each may do: "
            "'python -m qcompare user NAME' writes one"
        )
    return role


def on_space() -> bool:
    """This is a Hugging Face Space."""
    return bool(os.environ.get("SPACE_ID"))


def has_hugging_face_login() -> bool:
    """Gradio logs visitors in with Hugging Face: on a Space whose front matter says `hf_oauth: true`.

    Elsewhere it would let anybody in as the owner of this machine's token, in sessions that anybody can sign.
    """
    secret = os.environ.get("OAUTH_CLIENT_ID") and os.environ.get("OAUTH_CLIENT_SECRET")
    return on_space() and os.environ.get("SYSTEM") == "spaces" and bool(secret)


def is_loopback(host: str) -> bool:
    """Only this machine reaches a server on that address.

    >>> is_loopback("127.0.0.1"), is_loopback("[::1]"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    name = host.strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"
