"""Who sends a request: by the cookie of a login, HTTP Basic, the reverse proxy's header, Hugging Face, or nobody."""

import binascii
import hashlib
import ipaddress
import logging
import secrets
import time
from base64 import b64decode
from collections import OrderedDict
from dataclasses import dataclass, replace
from http.cookies import SimpleCookie
from threading import Lock

from starlette.datastructures import Headers
from starlette.types import Scope

from qcompare.errors import QCompareError
from qcompare.settings import Settings
from qcompare.ui.server.limits import RateLimit
from qcompare.ui.server.roles import ALL_RIGHTS, OWNER, Right, Role, Visitor, has_hugging_face_login, on_space
from qcompare.ui.server.users import ANYBODY, User, check_password, read_users

LOGIN_COOKIE, VISITOR_COOKIE = "qcompare-login", "qcompare-visitor"
SESSION_SECONDS = 12 * 3600
VISITOR_SECONDS = 30 * 24 * 3600
SESSIONS = 10_000
TRIES, TRY_SECONDS = 5, 300
"""Failed logins by name and by address, before one has to wait."""
BASIC_SECONDS = 60
"""How long a checked name and password of HTTP Basic are believed."""


@dataclass(frozen=True)
class Sender:
    """Who sends a request."""

    visitor: Visitor
    known: bool
    """May pass: is logged in, or need not be."""
    cookie: str = ""
    """To be set with the answer."""
    wait: int = 0
    """Seconds until another login may be tried."""


class Identity:
    """Visitors of one server. Logins are forgotten when it ends."""

    def __init__(self, settings: Settings, role: Role) -> None:
        self.settings, self.role = settings, role
        self.tries = RateLimit(TRIES, TRY_SECONDS)
        self._sessions: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._checked: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def of(self, scope: Scope, headers: Headers) -> Sender:
        """Who sends this request."""
        address = _address(scope, headers)
        if self.role is Role.LOCAL:
            return Sender(replace(OWNER, address=address), True)
        cookies = _cookies(headers)
        name, wait = self._name(scope, headers, cookies, address)
        if wait:
            return Sender(self._anonymous("", address), False, wait=wait)
        if name and (found := self._named(name, address)):
            return Sender(found, True)
        key = cookies.get(VISITOR_COOKIE, "")
        cookie = ""
        if self.role is Role.EXHIBITION and not _is_key(key):
            key = secrets.token_urlsafe(24)
            cookie = cookie_text(VISITOR_COOKIE, key, VISITOR_SECONDS, scope)
        return Sender(self._anonymous(key, address), self.role is Role.EXHIBITION, cookie)

    def log_in(self, name: str, password: str, address: str) -> tuple[str, int]:
        """A new session of a user; empty where name or password are wrong, then with the seconds to wait."""
        keys = (f"name {name}", f"address {address}")
        if wait := self.tries.wait(*keys):
            return "", wait
        if not check_password(self._users().get(name), password) or name == ANYBODY:
            self.tries.take(*keys)
            return "", self.tries.wait(*keys)
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[_digest(token)] = (name, time.time() + SESSION_SECONDS)
            while len(self._sessions) > SESSIONS:
                self._sessions.popitem(last=False)
        return token, 0

    def log_out(self, headers: Headers) -> None:
        """End the session of a request."""
        with self._lock:
            self._sessions.pop(_digest(_cookies(headers).get(LOGIN_COOKIE, "")), None)

    def _users(self) -> dict[str, User]:
        """The users file; nobody may log in while it cannot be read."""
        try:
            return read_users(self.settings.users_file)
        except QCompareError as error:
            logging.getLogger(__name__).error("%s", error)
            return {}

    def _name(self, scope: Scope, headers: Headers, cookies: dict[str, str], address: str) -> tuple[str, int]:
        """The user that a request proves to come from; empty: none. And the seconds to wait after failed logins."""
        if self.settings.auth_header and not on_space():
            return headers.get(self.settings.auth_header, "").strip(), 0
        info = scope.get("session", {}).get("oauth_info") if has_hugging_face_login() else None
        if info and info.get("expires_at", 0) > time.time():
            return str(info.get("userinfo", {}).get("preferred_username", "")), 0
        name, until = self._sessions.get(_digest(cookies.get(LOGIN_COOKIE, "")), ("", 0.0))
        if name and until > time.time():
            return name, 0
        scheme, _, coded = headers.get("authorization", "").partition(" ")
        return self._basic(coded, address) if scheme.lower() == "basic" else ("", 0)

    def _basic(self, coded: str, address: str) -> tuple[str, int]:
        try:
            name, _, password = b64decode(coded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", 0
        digest = _digest(coded)
        if self._checked.get(digest, 0.0) > time.time() and name in self._users():
            return name, 0
        token, wait = self.log_in(name, password, address)
        if not token:
            return "", wait
        with self._lock:
            self._sessions.pop(_digest(token), None)
            self._checked[digest] = time.time() + BASIC_SECONDS
            while len(self._checked) > SESSIONS:
                self._checked.popitem(last=False)
        return name, 0

    def _named(self, name: str, address: str) -> Visitor | None:
        """A user; None where the users file knows neither the name nor anybody."""
        users = self._users()
        user: User | None = users.get(name) or users.get(ANYBODY)
        if user is None:
            return None
        rights = (user.may & ALL_RIGHTS) | {Right.VOTE}
        limited = self.role is Role.EXHIBITION and Right.LAUNCH not in rights
        if Right.LAUNCH in rights or limited:
            rights |= {Right.ASK}
        return Visitor(f"user {name}", name, frozenset(rights), self.settings.home, address, limited)

    def _anonymous(self, key: str, address: str) -> Visitor:
        rights = frozenset({Right.ASK, Right.VOTE}) if self.role is Role.EXHIBITION else frozenset[Right]()
        return Visitor(visitor_key(key), "", rights, self.settings.home, address, True)


def has_password(headers: Headers) -> bool:
    """The request brings a name and a password: to check them takes some 50 ms."""
    return headers.get("authorization", "")[:6].lower() == "basic "


def visitor_key(cookie: str) -> str:
    """What an anonymous visitor is called in the store: it does not give the cookie away."""
    return f"visitor {_digest(cookie)[:24]}"


def cookie_text(name: str, value: str, seconds: int, scope: Scope) -> str:
    """A `Set-Cookie` header: not for scripts, not for other sites. A Space is shown in a frame of another site."""
    text = f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly"
    if on_space():
        return f"{text}; Secure; SameSite=None; Partitioned"
    return f"{text}; SameSite=Lax" + ("; Secure" if scope.get("scheme") == "https" else "")


def _address(scope: Scope, headers: Headers) -> str:
    """Where a request comes from. All visitors of a Space come through its proxy, which says for whom."""
    if on_space():
        for name in reversed(headers.get("x-forwarded-for", "").split(",")):  # what comes before, anybody can write
            try:
                if ipaddress.ip_address(name.strip()).is_global:
                    return name.strip()
            except ValueError:
                break
    return str((scope.get("client") or ("", 0))[0])


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except Exception:  # whatever a stranger sends as a cookie is no cookie
        return {}


def _is_key(key: str) -> bool:
    return len(key) == 32 and all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in key)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
