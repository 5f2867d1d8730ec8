"""What `qcompare app` does when the port is taken, or the home is served already. Real server processes."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qcompare.errors import QCompareError
from qcompare.settings import Settings
from qcompare.ui import display, start
from qcompare.ui.server import ports
from qcompare.ui.server.instance import (
    Instance,
    find_instance,
    forget_instance,
    note_instance,
    only_instance,
    read_instance,
)

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0


@contextmanager
def app(home: Path, *words: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """`qcompare app`, whose output can be read."""
    known = os.environ | {"QCOMPARE_HOME": str(home), "QCOMPARE_RECORDING": "false", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "qcompare", "app", *words]
    with subprocess.Popen(
        command, env=known | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextmanager
def taken_port() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def browser(tmp_path: Path) -> dict[str, str]:
    """Environment with a browser that notes what it is asked to open in `opened.txt`."""
    script = tmp_path / "browser.sh"
    script.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/opened.txt\n', encoding="utf-8")
    script.chmod(0o755)
    return {"BROWSER": f"{script} %s", "QCOMPARE_BROWSER": "true"}


def opened(tmp_path: Path, times: int) -> list[str]:
    """What the browser was asked to open, once it was so many times."""
    file, end = tmp_path / "opened.txt", time.monotonic() + 30
    while time.monotonic() < end:
        lines = file.read_text(encoding="utf-8").split() if file.exists() else []
        if len(lines) >= times:
            return lines
        time.sleep(0.1)
    raise TimeoutError(f"{times} addresses")


def test_a_second_start_brings_up_the_first_and_a_dead_one_is_forgotten(
    home: Path, tmp_path: Path, browser: dict[str, str]
) -> None:
    with app(home, **browser) as first:
        line = first_line(first)
        assert line.startswith("qcompare is open at http://127.0.0.1:")
        address = line.split()[-1]
        assert opened(tmp_path, 1) == [address]
        with app(home, **browser) as second:
            assert first_line(second) == f"qcompare is open already at {address}"
            assert second.wait(START_SECONDS) == 0
        assert opened(tmp_path, 2) == [address, address]
        assert first.poll() is None
        first.kill()
        first.wait()
    assert (home / "app.json").exists()  # what the dead one noted
    assert find_instance(home) is None
    with app(home, "--no-browser", **browser) as third:
        assert first_line(third).startswith("qcompare is open at ")
        found = read_instance(home)
        assert found and found.pid == third.pid and found.answers()
    assert len(opened(tmp_path, 2)) == 2


def test_a_named_port_that_is_taken_is_an_error(home: Path) -> None:
    with taken_port() as port:
        for words, environment in (((), {"QCOMPARE_PORT": str(port)}), (("--port", str(port)), {})):
            with app(home, *words, **environment) as process:
                assert process.wait(START_SECONDS) == 2
                assert process.stderr is not None
                assert process.stderr.read() == (
                    f"qcompare: port {port} is taken: choose another one with QCOMPARE_PORT\n"
                )
    assert read_instance(home) is None


def test_the_next_free_port_is_taken_where_none_was_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with taken_port() as port:
        default = Settings.model_fields["port"]
        monkeypatch.setattr(default, "default", port)
        Settings.model_rebuild(force=True)
        try:
            settings = Settings()
            assert (settings.port, settings.names_port) == (port, False)
            found = next(ports.free_ports(settings))
            assert port < found <= port + ports.TRIES
            with pytest.raises(QCompareError, match=f"port {port} is taken"):
                next(ports.free_ports(settings.model_copy(update={"port": port})))
        finally:
            monkeypatch.undo()
            Settings.model_rebuild(force=True)


def test_a_host_that_is_not_this_machine_s_is_said(settings: Settings) -> None:
    with pytest.raises(QCompareError, match=r"no port from 7860 on can be used on host 192\.0\.2\.1 \(Cannot assign"):
        next(ports.free_ports(settings.model_copy(update={"host": "192.0.2.1"})))


def test_a_port_just_left_by_a_server_is_free(settings: Settings) -> None:
    """Its connections are in TIME_WAIT, which forbids a plain bind."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            connection, _ = server.accept()
            connection.close()
            client.recv(1)
    assert ports.why_not("127.0.0.1", port) is None


def test_windows_is_asked_for_the_port_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """There SO_REUSEADDR would give two servers one port."""
    asked: list[int] = []

    class Probe(socket.socket):
        def setsockopt(self, level: int, option: int, value: int) -> None:  # type: ignore[override]
            asked.append(option)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", -5, raising=False)
    monkeypatch.setattr(socket, "socket", Probe)
    assert ports.why_not("127.0.0.1", free_port()) is None
    assert asked == [-5]


def test_what_the_record_says_counts_only_while_its_process_lives(settings: Settings, home: Path) -> None:
    home.mkdir()
    note_instance(home, settings, "http://127.0.0.1:1/", 1)
    assert read_instance(home) == Instance(
        pid=os.getpid(), address="http://127.0.0.1:1/", host="127.0.0.1", port=1, role=None
    )
    assert not Instance(pid=1, address="http://127.0.0.1:1/", host="h", port=1, role=None).answers()
    with only_instance(home) as first:
        assert first
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    note = (home / "app.json").read_text(encoding="utf-8").replace(f":{os.getpid()},", f":{gone.pid},")
    (home / "app.json").write_text(note, encoding="utf-8")
    assert read_instance(home) is None
    for damaged in ("", "{", "[]", '{"pid": "x"}', "\0"):
        (home / "app.json").write_text(damaged, encoding="utf-8")
        assert read_instance(home) is None
    forget_instance(home)
    forget_instance(home)
    assert read_instance(home) is None


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"port": 7861}, True),
        ({"port": 7860}, False),
        ({"host": "0.0.0.0", "role": "exhibition"}, False),
        ({"role": "local"}, False),
    ],
)
def test_what_was_asked_by_name_must_be_what_is_open(
    settings: Settings, changes: dict[str, object], fits: bool
) -> None:
    running = Instance(pid=1, address="http://127.0.0.1:7861/", host="127.0.0.1", port=7861, role=None)
    assert running.fits(settings.model_copy(update=changes)) is fits


def test_a_holder_of_the_home_that_does_not_answer_is_said(
    settings: Settings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "START_SECONDS", 0.5)
    code = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(flush=True); input()"
    home.mkdir()
    command = [sys.executable, "-c", code, str(home / "app.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(QCompareError, match="no app answers: end that process"):
            start.start(settings)
        holder.kill()


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, (False, False)),
        ("linux", {"DISPLAY": ":0"}, (True, True)),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, (True, True)),
        ("linux", {"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "a b"}, (True, False)),
        ("win32", {}, (True, True)),
        ("darwin", {"SSH_TTY": "/dev/ttys0"}, (True, False)),
        ("linux", {"DISPLAY": ":0", "SPACE_ID": "org/name"}, (False, False)),
    ],
)
def test_where_windows_can_be_shown(
    platform: str, environment: dict[str, str], expected: tuple[bool, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "SSH_TTY", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert (display.has_display(), display.sits_at_screen()) == expected


@pytest.mark.parametrize(
    ("changes", "asked", "opens"),
    [
        ({"browser": None}, None, True),
        ({"browser": None}, False, False),
        ({"browser": False}, None, False),
        ({"browser": False}, True, True),
        ({"browser": None, "host": "0.0.0.0", "role": "exhibition"}, None, False),
        ({"browser": None, "role": "exhibition"}, None, False),
    ],
)
def test_a_browser_is_opened_where_somebody_sits_and_nobody_else_is_let_in(
    settings: Settings,
    changes: dict[str, object],
    asked: bool | None,
    opens: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(start, "sits_at_screen", lambda: True)
    served: list[tuple[bool, bool]] = []
    monkeypatch.setattr(start, "_serve", lambda settings, opens, noted: served.append((opens, noted)))
    start.start(settings.model_copy(update=changes), asked)
    assert served == [(opens, True)]


def test_a_space_never_stands_back_and_opens_nothing(
    settings: Settings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACE_ID", "org/name")
    served: list[tuple[bool, bool]] = []
    monkeypatch.setattr(start, "_serve", lambda settings, opens, noted: served.append((opens, noted)))
    with only_instance(home):
        start.start(settings, browser=True)
    assert served == [(False, False)]
