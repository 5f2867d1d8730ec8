"""A real server: clients that send slowly or without end are cut off, and others do not notice them."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
import uvicorn

from qcompare.settings import Settings
from qcompare.ui.server import bodies, connections
from tests.ui.server.conftest import Served

GIGABYTE = 1_000_000_000
FORM = "Content-Type: multipart/form-data; boundary=b"
SLACK = 20_000_000
"""What the system's own buffers take, and what is read on so that the answer arrives."""


@pytest.fixture
def address(home: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """Host and port of a server that waits a second for headers, and for each part of a body."""
    monkeypatch.setattr(connections, "HEADER_SECONDS", 1.5)
    monkeypatch.setattr(bodies, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", uvicorn.config.HTTP_PROTOCOLS["auto"])
    connections.close_silent_connections()
    served = Served(Settings(upload_mb=5))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(served.app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield "127.0.0.1", port
    server.should_exit = True
    thread.join(20)


def connect(address: tuple[str, int], content: bytes = b"") -> socket.socket:
    client = socket.create_connection(address, timeout=20)
    client.sendall(content)
    return client


def others_are_served(address: tuple[str, int]) -> None:
    began = time.monotonic()
    assert httpx.get(f"http://{address[0]}:{address[1]}/log/x", timeout=20).status_code == 404
    assert time.monotonic() - began < 5


def head(address: tuple[str, int], path: str, *lines: str) -> bytes:
    host = f"{address[0]}:{address[1]}"
    return "\r\n".join([f"POST {path} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode()


def test_clients_that_say_nothing_are_closed(address: tuple[str, int]) -> None:
    begun = [b"", b"GET / HT", b"GET /log/x HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b\r\n"]
    silent = [connect(address, begun[n % 3]) for n in range(150)]
    whole = begun[2] + b"\r\n"
    again = connect(address, whole)  # answered, then slow with its second request
    assert again.recv(12).startswith(b"HTTP/1.1 404")
    again.sendall(begun[1])
    others_are_served(address)
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.3):
            for client in silent[2::3]:
                try:
                    client.sendall(b"X")
                except OSError:
                    return

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        for client in [*silent, again]:
            while client.recv(65536):
                pass  # until it is closed: else the timeout of the socket ends the test
    except ConnectionResetError:
        pass
    finally:
        stop.set()
        thread.join()
        for client in [*silent, again]:
            client.close()


def test_a_body_that_does_not_come_is_cut_off(address: tuple[str, int]) -> None:
    for path in ("/api/v1/plan", "/gradio_api/run/predict", "/gradio_api/upload", "/mcp", "/login"):
        slow = connect(address, head(address, path, "Content-Length: 1000", FORM) + b"-")
        began = time.monotonic()
        others_are_served(address)
        answer = slow.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408"), (path, answer)
        assert time.monotonic() - began < 15
        slow.close()


@pytest.mark.parametrize(
    ("path", "announced"),
    [("/gradio_api/upload", True), ("/gradio_api/upload", False), ("/api/v1/studies", False), ("/mcp", True),
     ("/gradio_api/run/predict", False)],
)  # fmt: skip
def test_a_gigabyte_is_refused_early(address: tuple[str, int], path: str, announced: bool) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\n'
    length = f"Content-Length: {GIGABYTE}" if announced else "Transfer-Encoding: chunked"
    block = b"x" * 100_000
    sent, answer = 0, b""
    with connect(address, head(address, path, length, FORM)) as client:
        while sent < GIGABYTE and not answer:
            try:
                part = form + block if sent == 0 else block
                client.sendall(part if announced else f"{len(part):x}\r\n".encode() + part + b"\r\n")
                sent += len(part)
                client.setblocking(False)
                with suppress(BlockingIOError):
                    answer = client.recv(65536)
                client.settimeout(20)
            except OSError:
                client.settimeout(20)
                answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413"), answer
    assert sent <= SLACK, f"{sent} bytes were taken"
