"""Logging in with Hugging Face: on a Space the name that it gives decides the rights; elsewhere nothing of it counts.

Needs what a Space installs as `gradio[oauth]`.
"""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio import oauth
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from qcompare.errors import QCompareError
from qcompare.settings import Settings
from qcompare.ui.server.identity import Identity
from qcompare.ui.server.roles import OWNER, Right, Role
from tests.ui.server.conftest import Served, write_users

for library in ("authlib", "itsdangerous", "joserfc"):
    pytest.importorskip(library, reason="pip install 'gradio[oauth]'")

from tests.ui.server.provider import CLIENT, SECRET, openid_provider  # noqa: E402

HOST = "https://org-name.hf.space"


@pytest.fixture
def user() -> dict[str, str]:
    return {"name": "alice"}


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch, user: dict[str, str]) -> Iterator[str]:
    """The environment of a Space with `hf_oauth: true`; gives the provider's address."""
    with openid_provider(user) as provider:
        values = {"OAUTH_CLIENT_ID": CLIENT, "OAUTH_CLIENT_SECRET": SECRET, "OAUTH_SCOPES": "openid profile",
                  "OPENID_PROVIDER_URL": provider}  # fmt: skip
        for name, value in values.items():
            monkeypatch.setenv(name, value)
            monkeypatch.setattr(oauth, name, value)  # read when gradio was imported
        monkeypatch.setenv("SYSTEM", "spaces")
        monkeypatch.setenv("SPACE_ID", "org/name")
        monkeypatch.setenv("SPACE_HOST", HOST.removeprefix("https://"))
        yield provider


@pytest.fixture
def serve(tmp_path: Path, settings: Settings) -> Callable[..., Served]:
    def make(role: str) -> Served:
        return Served(settings.model_copy(update={"role": role, "users": write_users(tmp_path / "users.yaml")}))

    return make


def browser(served: Served) -> TestClient:
    return TestClient(served.app, HOST, follow_redirects=False)


def log_in(client: TestClient) -> Any:
    """As a browser that follows the redirects to the provider and back."""
    away = client.get("/login/huggingface")
    assert away.status_code in (302, 307), away.text
    back = httpx.get(away.headers["location"])
    assert back.headers["location"].startswith(f"{HOST}/login/callback?")
    return client.get(back.headers["location"].removeprefix(HOST))


def rights(client: TestClient) -> set[str]:
    return set(client.get("/config").json()["rights"].split())


def test_the_name_that_hugging_face_gives_decides_the_rights(
    space: str, serve: Callable[..., Served], user: dict[str, str]
) -> None:
    served = serve("team")
    assert [each for each in served.blocks.blocks.values() if type(each).__name__ == "LoginButton"]
    client = browser(served)
    assert client.get("/config").status_code == 401
    for name, expected in (
        ("alice", set(Right)),
        ("bob", {Right.LAUNCH, Right.ASK, Right.VOTE}),
        ("carol", {Right.VOTE}),
    ):
        user["name"] = name
        answer = log_in(client)
        assert answer.status_code in (302, 307) and "evil" not in answer.headers["location"]
        assert rights(client) == {right.value for right in expected}, name
    user["name"] = "mallory"  # Hugging Face knows her, the users file does not
    log_in(client)
    assert client.get("/config").status_code == 401
    assert client.post("/gradio_api/run/predict", json={}).status_code == 401


def test_logging_out_ends_it(space: str, serve: Callable[..., Served]) -> None:
    client = browser(serve("team"))
    log_in(client)
    assert client.get("/config").status_code == 200
    client.get("/logout")
    assert client.get("/config").status_code == 401


def test_in_an_exhibition_named_users_may_do_more(
    space: str, serve: Callable[..., Served], user: dict[str, str]
) -> None:
    client = browser(serve("exhibition"))
    assert rights(client) == {"ask", "vote"}
    log_in(client)
    assert rights(client) == {right.value for right in Right}
    user["name"] = "mallory"
    log_in(client)
    assert rights(client) == {"ask", "vote"}


def test_an_answer_that_nobody_asked_for_logs_nobody_in(space: str, serve: Callable[..., Served]) -> None:
    client = browser(serve("team"))
    answer = client.get("/login/callback?code=a-code&state=forged&_target_url=https://evil.example/")
    assert answer.status_code < 500 and "evil" not in answer.headers.get("location", "").partition("?")[0]
    assert client.get("/config").status_code == 401


def test_a_target_elsewhere_is_not_followed(space: str, serve: Callable[..., Served]) -> None:
    client = browser(serve("team"))
    away = client.get("/login/huggingface?_target_url=https://evil.example/x")
    back = httpx.get(away.headers["location"])
    answer = client.get(back.headers["location"].removeprefix(HOST))
    assert answer.headers["location"] == "/x"


@pytest.mark.parametrize(
    "environment",
    [
        {"OAUTH_CLIENT_ID": CLIENT, "OAUTH_CLIENT_SECRET": SECRET},
        {"SPACE_ID": "org/name", "OAUTH_CLIENT_ID": CLIENT, "OAUTH_CLIENT_SECRET": SECRET},  # set by hand: no Space
        {"SYSTEM": "spaces", "SPACE_ID": "org/name", "OAUTH_CLIENT_ID": CLIENT},  # sessions that anybody can sign
    ],
)
def test_without_a_space_s_own_login_no_session_of_it_counts(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Served]
) -> None:
    """Off Spaces gradio logs everybody in as the owner of this machine's token: never a guard."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # gradio warns where it mocks
        served = serve("team")
    assert not [each for each in served.blocks.blocks.values() if type(each).__name__ == "LoginButton"]
    assert served.client().get("/login/huggingface").status_code == 404
    session = {"oauth_info": {"expires_at": 9e12, "userinfo": {"preferred_username": "alice"}}}
    scope = {"type": "http", "headers": [], "session": session, "client": ("10.0.0.1", 1)}
    sender = Identity(served.settings, Role.TEAM).of(scope, Headers(scope=scope))
    assert not sender.known and not sender.visitor.rights and sender.visitor.name == ""


def test_the_role_local_is_refused_on_a_space(space: str, settings: Settings) -> None:
    with pytest.raises(QCompareError, match="loopback"):
        Served(settings.model_copy(update={"role": "local"}))
    assert OWNER.rights == frozenset(Right)
