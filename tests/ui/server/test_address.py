"""Where a request comes from: the limits of an address must not hold for all visitors of a proxy together."""

import pytest
from starlette.datastructures import Headers

from qcompare.settings import Settings
from qcompare.ui.server.identity import Identity
from qcompare.ui.server.roles import Role


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("203.0.114.7", "203.0.114.7"),
        ("1.2.3.4, 203.0.114.7", "203.0.114.7"),  # what comes before, the visitor can have written
        ("203.0.114.7, 10.0.0.8", "203.0.114.7"),  # the hub's own proxies
        ("2a00:1450:4001::1", "2a00:1450:4001::1"),
        ("", "10.1.1.1"),
        ("203.0.114.7, nonsense", "10.1.1.1"),
    ],
)
def test_visitors_of_a_space_are_told_apart(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, forwarded: str, expected: str
) -> None:
    scope = {"type": "http", "headers": [(b"x-forwarded-for", forwarded.encode())], "client": ("10.1.1.1", 5)}
    identity = Identity(settings, Role.EXHIBITION)
    assert identity.of(scope, Headers(scope=scope)).visitor.address == "10.1.1.1"  # anybody can send the header
    monkeypatch.setenv("SPACE_ID", "org/name")
    assert identity.of(scope, Headers(scope=scope)).visitor.address == expected
