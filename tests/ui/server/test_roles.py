"""Who may do what, checked at the addresses that a browser uses."""

import re
from pathlib import Path

import pytest

from qcompare.errors import QCompareError
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.ui.server.roles import Right, Role, role_of
from qcompare.ui.server.users import read_users, write_user
from tests.synthetic import add_study, finished_study
from tests.ui.server.conftest import PASSWORD, Served

HANDLERS = {
    "build_own_prompt.<locals>.start": Right.ASK,
    "build_votes.<locals>.vote": Right.VOTE,
    "_starter.<locals>.start": Right.LAUNCH,
    "_starter.<locals>.begin": Right.EXPORT,
    "build_new.<locals>.<lambda>": Right.LAUNCH,
    "build_explorer.<locals>.<lambda>": Right.LAUNCH,
    "build_header.<locals>.<lambda>": Right.LAUNCH,
    "build_more.<locals>": Right.LAUNCH,
    "build_notes.<locals>.save": Right.LAUNCH,
    "build_compare_with.<locals>.<lambda>": Right.LAUNCH,
    "build_task_picker.<locals>.upload": Right.LAUNCH,
    "build_history.<locals>": None,
    "_importer.<locals>.take": Right.LAUNCH,
    "_cloner.<locals>.clone": Right.LAUNCH,
    "build_cleanup.<locals>.<lambda>": Right.DELETE,
    "performer.<locals>.perform": None,  # by button: see `ACTS`
}
READING = re.compile(
    r"(_(follow|open_address|build)\b.*|build_(take_away|questions|history|model_search|new"
    r"|compare_with|task_picker)\.<locals>.*|_picked.*|_read_index|_list|_listed|_typed|_name_field|_size_values"
    r"|picked_model"
    r"|comparer\.<locals>\.compare|size_of|budget_within|_follow_changes\.<locals>\.follow_up)"
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Role.LOCAL),
        ({"host": "::1"}, Role.LOCAL),
        ({"host": "0.0.0.0"}, "lets others in: set QCOMPARE_ROLE"),
        ({"host": "192.168.1.4"}, "lets others in"),
        ({"host": "0.0.0.0", "role": "local"}, "needs a loopback host"),
        ({"host": "0.0.0.0", "role": "exhibition"}, Role.EXHIBITION),
        ({"host": "0.0.0.0", "role": "team"}, "role team needs QCOMPARE_USERS"),
        ({"host": "0.0.0.0", "role": "team", "users": "u.yaml"}, Role.TEAM),
        ({"host": "0.0.0.0", "role": "team", "auth_header": "X-User"}, "let a reverse proxy on this machine"),
        ({"role": "team", "auth_header": "X-User"}, Role.TEAM),
    ],
)
def test_a_host_that_lets_others_in_needs_a_role(settings: Settings, changes: dict, expected: Role | str) -> None:
    asked = settings.model_copy(update=changes)
    if isinstance(expected, Role):
        assert role_of(asked) is expected
        return
    with pytest.raises(QCompareError, match=expected) as error:
        role_of(asked)
    assert "\n" not in str(error.value)


def test_a_space_is_an_exhibition(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "org/name")
    assert role_of(settings) is Role.EXHIBITION
    with pytest.raises(QCompareError, match="loopback"):
        role_of(settings.model_copy(update={"role": "local"}))


def test_every_handler_of_the_screen_is_private_and_has_a_known_right(local: Served) -> None:
    for each in local.blocks.fns.values():
        assert each.api_visibility == "private", each.name
        name = getattr(each.fn, "__qualname__", "")
        right = getattr(each.fn, "right", None)
        wanted = [want for start, want in HANDLERS.items() if name.startswith(start)]
        if right is None:
            assert each.fn is None or None in wanted or READING.fullmatch(name), f"{name}: who may call it?"
        else:
            assert right in wanted or name.startswith(("build_chosen", "build_explorer")), name
    assert local.client().get("/gradio_api/info").json()["named_endpoints"] == {}


def test_a_team_s_server_shows_nothing_without_a_login(team: Served) -> None:
    stranger = team.client()
    gradio = ("/config", "/gradio_api/info", "/gradio_api/heartbeat/s", "/theme.css")
    for path in (*gradio, "/log/x", "/updates", "/api/v1/studies"):
        assert stranger.get(path).status_code == 401, path
    for path in ("/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/upload", "/mcp"):
        assert stranger.post(path, json={}).status_code == 401, path
    page = stranger.get("/", headers={"accept": "text/html"})
    assert page.status_code == 303 and page.headers["location"] == "login"
    assert stranger.get("/login").status_code == 200


def test_logging_in_and_out(team: Served) -> None:
    alice = team.client("alice")
    assert alice.get("/config").status_code == 200
    cookie = alice.cookies.jar._cookies["127.0.0.1"]["/"]["qcompare-login"]
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert alice.post("/logout").status_code == 303
    assert alice.get("/config").status_code == 401


def test_failed_logins_have_to_wait(settings: Settings, users: Path) -> None:
    client = Served(settings.model_copy(update={"role": "team", "users": users})).client()
    answers = [client.post("/login", data={"name": "alice", "password": "wrong"}).status_code for _ in range(6)]
    assert answers == [403] * 4 + [429] * 2
    assert client.post("/login", data={"name": "alice", "password": PASSWORD}).status_code == 429


def test_rights_are_checked_by_name(team: Served) -> None:
    study = finished_study(team.settings.home)
    store = Store(team.settings.home)
    carol, alice = team.client("carol"), team.client("alice")
    deletes = "build_chosen.<locals>.<lambda>"
    for client, gone in ((carol, False), (alice, True)):
        for each in team.blocks.fns.values():
            if getattr(each.fn, "right", None) is Right.DELETE and each.fn.__qualname__ == deletes:
                body = {"fn_index": each._id, "data": [study.id], "session_hash": "s"}
                client.post("/gradio_api/queue/join", json=body)
                answer = client.post("/gradio_api/run/predict", json=body)
                assert (answer.status_code == 403) is not gone, answer.text
        assert (study.id in {each.id for each in store.studies()}) is not gone


@pytest.mark.filterwarnings("ignore::UserWarning")  # gradio shows a message only through its queue
def test_buttons_check_the_right_of_each_act(team: Served) -> None:
    store = Store(team.settings.home)
    study = add_study(store)
    for name, expected in (("bob", "queued"), ("alice", "cancelled")):
        team.press(team.client(name), "performer", event={"act": "cancel", "name": study.id})
        assert store.study(study.id).status.value == expected, name
    answer = team.press(team.client("alice"), "performer", event={"act": "__class__", "name": study.id})
    assert answer.status_code == 200


def test_a_proxy_s_header_names_the_user(settings: Settings, users: Path) -> None:
    served = Served(settings.model_copy(update={"role": "team", "users": users, "auth_header": "X-Forwarded-User"}))
    client = served.client()
    assert client.get("/config").status_code == 401
    assert client.get("/config", headers={"X-Forwarded-User": "carol"}).status_code == 200
    assert client.get("/config", headers={"X-Forwarded-User": "mallory"}).status_code == 401


def test_a_users_file_hides_passwords_and_is_the_owner_s_alone(users: Path) -> None:
    assert PASSWORD not in users.read_text() and users.stat().st_mode & 0o077 == 0
    assert read_users(users)["bob"].may == {Right.LAUNCH}
    with pytest.raises(QCompareError, match="at least 10 letters"):
        write_user(users, "dave", "short", [])
    with pytest.raises(QCompareError, match="cannot be a user's name"):
        write_user(users, "../x", PASSWORD, [])
    users.write_text("alice: {may: [fly]}")
    with pytest.raises(QCompareError, match=r"alice\.may.*launch"):
        read_users(users)


def test_nobody_logs_in_with_a_broken_users_file(settings: Settings, users: Path) -> None:
    team = Served(settings.model_copy(update={"role": "team", "users": users}))
    users.write_text(": :")
    assert team.client().post("/login", data={"name": "alice", "password": PASSWORD}).status_code == 403
