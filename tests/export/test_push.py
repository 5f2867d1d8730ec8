"""Uploads: refused in one line that holds no token."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from qcompare.errors import InvalidStudy, ModelUnavailable
from qcompare.export.push import check_name, push_folder, read_token

TOKEN = "hf_secret_of_the_user"


@pytest.fixture
def refusing_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that knows the token but allows it nothing."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("refusing_hub")
def test_a_token_without_the_right_is_one_line_and_the_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(ModelUnavailable, match="no right to write there; it stays in") as error:
        push_folder(tmp_path, "org/name", TOKEN)
    assert TOKEN not in str(error.value)
    assert (tmp_path / "README.md").exists()


def test_names_and_tokens_are_checked_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(InvalidStudy, match="give org/name"):
        check_name("just-a-name")
    with pytest.raises(InvalidStudy, match="no token"):
        read_token("org/name", lambda text: "  ")
    assert read_token("org/name", lambda text: TOKEN) == TOKEN
