"""The users file: who may log in, and what each may do.

```yaml
alice: {password: "scrypt$…", may: [launch, cancel, delete, export, push]}
bob: {may: [launch]}        # no password: known to the reverse proxy, or to Hugging Face
"*": {may: []}              # anybody else whom these have logged in
```

Passwords are kept as scrypt hashes (RFC 7914; n=2^14, r=8, p=1: 16 MB and some 50 ms a try).
"""

import hashlib
import hmac
import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from qcompare.errors import QCompareError
from qcompare.store.moving import replace
from qcompare.study.frozen import Frozen
from qcompare.ui.server.roles import Right

ANYBODY = "*"
MIN_LETTERS = 10
COST = {"n": 1 << 14, "r": 8, "p": 1}
NAME = r"^(\*|[A-Za-z0-9][\w.@+-]{0,63})$"


class User(Frozen):
    """One entry."""

    password: str | None = None
    may: frozenset[Right] = frozenset()


Users = dict[Annotated[str, Field(pattern=NAME)], User]
_READ: TypeAdapter[dict[str, User]] = TypeAdapter(Users)


def read_users(path: Path | None) -> dict[str, User]:
    """The users of a file; none without a file. Read again when the file has changed.

    Raises:
        QCompareError: it cannot be read, or says something else.
    """
    if path is None:
        return {}
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise QCompareError(
            "{path}: the users file cannot be read ({reason})", path=path, reason=error.strerror
        ) from None


@lru_cache(4)
def _read(path: Path, changed: int) -> dict[str, User]:
    try:
        return _READ.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (yaml.YAMLError, UnicodeDecodeError):
        raise QCompareError("{path}: the users file is not valid YAML", path=path) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]")
        raise QCompareError(
            "{path}: {place}: {problem}; expected 'NAME: {{password: scrypt$…, may: [{rights}]}}'",
            path=path, place=place, problem=first["msg"], rights=", ".join(Right),
        ) from None  # fmt: skip


def write_user(path: Path, name: str, password: str | None, rights: Iterable[Right]) -> None:
    """Add a user, or change one. The file is readable by its owner only.

    Raises:
        QCompareError: the name or the password cannot be used.
    """
    if password is not None and len(password) < MIN_LETTERS:
        raise QCompareError("a password has at least {least} letters", least=MIN_LETTERS)
    users = read_users(path) if path.exists() else {}
    hashed = hash_password(password) if password is not None else None
    users = {**users, name: User(password=hashed, may=frozenset(rights))}
    try:
        _READ.validate_python({name: {}})
    except ValidationError:
        raise QCompareError(
            "'{name}' cannot be a user's name: letters, digits and . _ @ + -", name=name[:60]
        ) from None
    plain = {
        each: {**({"password": user.password} if user.password else {}), "may": sorted(map(str, user.may))}
        for each, user in users.items()
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        yaml.safe_dump(plain, file, sort_keys=False)
    replace(draft, path)


def hash_password(password: str) -> str:
    """A salted hash, as the users file holds it."""
    salt = secrets.token_bytes(16)
    return "$".join(("scrypt", b64encode(salt).decode(), b64encode(_scrypt(password, salt)).decode()))


def check_password(user: User | None, password: str) -> bool:
    """Whether it is the user's password. Takes as long for a user that does not exist."""
    try:
        kind, salt, wanted = ((user and user.password) or _DUMMY).split("$")
        found = _scrypt(password, b64decode(salt))
        return hmac.compare_digest(found, b64decode(wanted)) and kind == "scrypt" and bool(user and user.password)
    except ValueError:
        return False


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, dklen=32, **COST)


_DUMMY = hash_password(secrets.token_hex())
