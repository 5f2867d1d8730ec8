"""Requests that no page of ours sends: other names, other sites, paths out of bounds, files of strange kinds."""

import sys
from pathlib import Path

import pytest

from qcompare.settings import Settings
from qcompare.ui.server import gate
from tests.ui.server.conftest import Served


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:7860", "localhost.evil.example", "", "[::2]"]
)
def test_dns_rebinding_is_refused(local: Served, host: str) -> None:
    assert local.client().get("/config", headers={"host": host}).status_code == 421
    assert local.client().post("/gradio_api/queue/join", json={}, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1", "[::1]:7860", "LOCALHOST"])
def test_loopback_names_are_right(local: Served, host: str) -> None:
    assert local.client().get("/config", headers={"host": host}).status_code == 200


def test_a_reverse_proxy_s_name_can_be_allowed(settings: Settings, users: Path) -> None:
    served = Served(
        settings.model_copy(update={"role": "team", "users": users, "allowed_hosts": "q.example, r.example"})
    )
    codes = [served.client().get("/login", headers={"host": host}).status_code for host in ("r.example", "s.example")]
    assert codes == [200, 421]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    ],
)
def test_requests_of_other_sites_are_refused(local: Served, headers: dict[str, str]) -> None:
    client = local.client()
    for path in ("/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/upload"):
        assert client.post(path, json={}, headers=headers).status_code == 403, path
    assert client.get("/config", headers=headers).status_code == 403


def test_links_from_other_sites_open_the_page(local: Served) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert local.client().get("/config", headers=headers).status_code == 200


def test_its_own_page_may_send(local: Served) -> None:
    answer = local.client().post("/gradio_api/reset", json={}, headers={"origin": "http://127.0.0.1:7860"})
    assert answer.status_code not in (403, 421)


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=..%2f..%2f..%2fetc%2fpasswd",
        "/gradio_api/file=../../../etc/passwd",
        "/gradio_api/file=%2e%2e/%2e%2e/etc/passwd",
        "/gradio_api/file=%252e%252e%252f%252e%252e%252fetc/passwd",
        "/gradio_api/file=file:///etc/passwd",
        "/gradio_api/file=https://evil.example/x",
        "/gradio_api/file=//evil.example/share/x",
        "/gradio_api/file=%5c%5cevil.example%5cshare%5cx",
        "/gradio_api/file=app.py",
        "/static/..%2f..%2f..%2froutes.py",
        "/assets/..%2f..%2f..%2f..%2froutes.py",
        "/gradio_api/proxy=https://evil.example/",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/vibe-code",
        "/gradio_api/run-history/buckets",
        "/gradio_api/runs",
        "/gradio_api/token",
        "/gradio_api/openapi.json",
        "/monitoring",
        "/gradio_api/deep_link",
        "/gradio_api/dev/reload",
        "/log/..%2f..%2findex.sqlite",
        "/log/%00",
        "/static/" + "a" * 3000,
        "/assets/" + "%C3%A9" * 200,
    ],
)
def test_nothing_else_of_the_machine_is_served(local: Served, path: str) -> None:
    answer = local.client().get(path)
    assert answer.status_code in (400, 403, 404, 405), (answer.status_code, answer.text[:200])
    assert "root:" not in answer.text and "import" not in answer.text


@pytest.mark.parametrize(
    ("name", "on_windows"),
    [
        (r"C:\Users\me\AppData\Local\Temp\gradio\ab\study.qcompare.zip", True),
        ("C:/Users/me/AppData/Local/Temp/gradio/ab/study.qcompare.zip", True),
        (r"C:\Users\..\secret.txt", False),
        ("c:/x/../y", False),
        (r"\\server\share\x", False),
        ("//server/share/x", False),
        (r"\\?\C:\x", False),
        ("file:///C:/x", False),
        ("https://evil.example/x", False),
        ("C:\0", False),
    ],
)
def test_files_of_windows_have_a_drive_and_backslashes(
    name: str, on_windows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/gradio_api/file={name}"
    assert not gate._may_open(path, path) or "\\" not in path
    monkeypatch.setattr(sys, "platform", "win32")
    assert gate._may_open(path, path) is on_windows


def test_files_of_the_home_are_not_served(local: Served) -> None:
    secret = local.settings.home / "questions" / "secret.csv"
    secret.parent.mkdir(parents=True)
    secret.write_text("a,b")
    assert local.client().get(f"/gradio_api/file={secret}").status_code == 403
    link = local.settings.home.parent / "link.csv"
    link.symlink_to(secret)
    assert local.client().get(f"/gradio_api/file={link}").status_code == 403


def test_headers_keep_the_page_to_itself(local: Served) -> None:
    for path in ("/config", "/nowhere", "/log/x"):
        headers = local.client().get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin", path
        policy = headers["content-security-policy"]
        assert "object-src 'none'" in policy and "frame-ancestors 'self'" in policy and "http" not in policy


def upload(served: Served, name: str, content: bytes, client_name: str = "", **headers: str) -> tuple[int, str]:
    client = served.client(client_name)
    answer = client.post("/gradio_api/upload", files={"files": (name, content)}, headers=headers)
    return answer.status_code, answer.text


def test_uploads_of_known_kinds_only(local: Served) -> None:
    code, text = upload(local, "mine.csv", b"question,answer\n1,2\n")
    assert code == 200 and "mine.csv" in text
    for name in ("page.html", "x.svg", "run.py", "noending", "x.csv.exe"):
        code, text = upload(local, name, b"<script>alert(1)</script>")
        assert code == 415 and ".csv" in text, name
        assert not [path for path in Path("/tmp/gradio").glob(f"*/{name}")]


def test_large_uploads_are_refused_early(settings: Settings) -> None:
    served = Served(settings.model_copy(update={"upload_mb": 1}))
    assert upload(served, "big.csv", b"x" * 2_100_000)[0] == 413
    sent = 0

    def endless():  # type: ignore[no-untyped-def]
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\n'
        while sent < 50_000_000:
            sent += 100_000
            yield b"x" * 100_000

    headers = {"content-type": "multipart/form-data; boundary=b"}
    try:
        answer = served.client().post("/gradio_api/upload", content=endless(), headers=headers)
        assert answer.status_code >= 400
    except Exception as error:  # the connection was cut
        assert "disconnect" in repr(error).lower()
    other = served.client().post("/gradio_api/run/predict", content=b"x" * 6_000_000)
    assert other.status_code == 413


def test_visitors_without_the_right_upload_nothing(team: Served, exhibition: Served) -> None:
    assert upload(exhibition, "a.csv", b"x")[0] == 403
    assert upload(team, "a.csv", b"x", "carol")[0] == 403
    assert upload(team, "a.csv", b"x", "bob")[0] == 200


@pytest.mark.parametrize("cookie", ["qcompare-login=\x00", "a" * 9000, 'q="', "qcompare-visitor=../../x; =; ;;"])
def test_strange_cookies_are_nobody_s(team: Served, exhibition: Served, cookie: str) -> None:
    headers = {"cookie": cookie.encode()}
    assert team.client().get("/config", headers=headers).status_code == 401  # type: ignore[arg-type]
    assert exhibition.client().get("/config", headers=headers).status_code == 200  # type: ignore[arg-type]
