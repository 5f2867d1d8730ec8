"""`qcompare app --desktop`: a fake pywebview, a real server process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from filelock import FileLock

from qcompare.jobs.executors.background import ensure_running
from qcompare.jobs.executors.processes import alive
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.ui import desktop
from qcompare.ui.server.instance import find_instance, read_instance
from tests.jobs import standin
from tests.jobs.conftest import process_of, standin_store
from tests.jobs.conftest import until as in_time

ROOT = Path(__file__).parents[2]
START_SECONDS = 240.0
WEBVIEW = '''
"""Does what the rest of pywebview does for a window, without one: it is closed when the file `close` appears."""
import json, os, pathlib, threading, time

folder = pathlib.Path(os.environ["FAKE_WEBVIEW"])
settings = {"ALLOW_DOWNLOADS": False}


class WebViewException(Exception):
    pass


class Window:
    closed = False

    def destroy(self):
        self.closed = True


def create_window(title, url, **options):
    global window
    window = Window()
    window.known = {"title": title, "url": url, **options}
    return window


def start(**options):
    if threading.current_thread() is not threading.main_thread():
        raise WebViewException("pywebview must be run on a main thread.")
    if (folder / "no_toolkit").exists():
        raise WebViewException("You must have either QT or GTK\\nwith Python extensions installed")
    about = {**window.known, **options, "downloads": settings["ALLOW_DOWNLOADS"]}
    (folder / "draft").write_text(json.dumps(about))
    os.replace(folder / "draft", folder / "shown.json")
    while not window.closed and not (folder / "close").exists():
        time.sleep(0.05)
    (folder / "ended").write_text("by its server" if window.closed else "by the user")
'''


@pytest.fixture
def webview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the module path with a fake pywebview, which leaves its traces there."""
    folder = tmp_path / "webview"
    folder.mkdir()
    (folder / "webview.py").write_text(WEBVIEW, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(folder)]))
    monkeypatch.setenv("FAKE_WEBVIEW", str(folder))
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("QCOMPARE_RECORDING", "false")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    return folder


@pytest.fixture
def store(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store whose jobs are stand-ins; none is left behind."""
    with standin_store(settings, monkeypatch) as found:
        yield found


@contextmanager
def desktop_app(home: Path) -> Iterator["subprocess.Popen[str]"]:
    """Started as shells start what runs in the background: with interrupts ignored."""
    command = [sys.executable, "-m", "qcompare", "--home", str(home), "app", "--desktop"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def until(path: Path, process: "subprocess.Popen[str]") -> str:
    end = time.monotonic() + START_SECONDS
    while not path.exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < end, path
        time.sleep(0.1)
    return path.read_text(encoding="utf-8")


def gone(pid: int, seconds: float = 30.0) -> bool:
    try:
        psutil.Process(pid).wait(seconds)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def test_the_server_ends_with_its_window_and_jobs_go_on(webview: Path, home: Path, store: Store) -> None:
    job_id = f"{standin.queue(store, steps=20_000).id}.bf16"
    ensure_running(Settings())
    in_time(lambda: store.folder(job_id).progress() and store.job(job_id).handle, START_SECONDS)
    job = process_of(store.job(job_id))
    with desktop_app(home) as window:
        shown = json.loads(until(webview / "shown.json", window))
        served = read_instance(home)
        assert served and shown["url"] == served.address and shown["title"] == "qcompare"
        assert shown["downloads"] is True and shown["private_mode"] is False
        assert shown["storage_path"] == str(home / "window")
        assert served.pid != window.pid and psutil.Process(served.pid).ppid() == window.pid
        assert httpx.get(served.address, trust_env=False).status_code == 200
        (webview / "close").touch()
        assert window.wait(30) == 0
        assert gone(served.pid)
        assert find_instance(home) is None
        assert (webview / "ended").read_text(encoding="utf-8") == "by the user"
    assert alive(job)


def test_a_window_on_an_app_that_is_open_already_leaves_it_open_and_a_killed_one_ends_its_own(
    webview: Path, home: Path
) -> None:
    home.mkdir()
    with FileLock(home / "supervisor.lock"), desktop_app(home) as first:
        until(webview / "shown.json", first)
        served = read_instance(home)
        assert served
        (webview / "shown.json").unlink()
        with desktop_app(home) as second:
            assert json.loads(until(webview / "shown.json", second))["url"] == served.address
            second.kill()
            second.wait()
        assert served.answers()
        first.kill()  # cannot say goodbye
        assert gone(served.pid)


def test_the_window_closes_when_its_server_ends(webview: Path, home: Path) -> None:
    home.mkdir()
    with FileLock(home / "supervisor.lock"), desktop_app(home) as window:
        until(webview / "shown.json", window)
        served = read_instance(home)
        assert served
        psutil.Process(served.pid).kill()
        assert until(webview / "ended", window) == "by its server"
        window.wait(30)


def test_without_a_toolkit_the_browser_is_used_and_the_server_stays(
    webview: Path, home: Path, tmp_path: Path
) -> None:
    home.mkdir()
    (webview / "no_toolkit").touch()
    script = tmp_path / "browser.sh"
    script.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/draft && mv {tmp_path}/draft {tmp_path}/opened\n')
    script.chmod(0o755)
    os.environ["BROWSER"] = f"{script} %s"
    try:
        with FileLock(home / "supervisor.lock"), desktop_app(home) as process:
            address = until(tmp_path / "opened", process).strip()
            served = read_instance(home)
            assert served and served.address == address and served.answers()
            assert process.poll() is None
            process.kill()
            assert process.stderr is not None
            said = process.stderr.read()
            problem = "You must have either QT or GTK with Python extensions installed"
            assert said == f"qcompare: no window can be opened ({problem}); the browser is used instead\n"
            assert gone(served.pid)
    finally:
        del os.environ["BROWSER"]


@pytest.mark.parametrize(
    ("installed", "display", "problem"),
    [
        (False, True, "pywebview is not installed: pip install 'qcompare[desktop]'"),
        (True, False, "there is no display"),
    ],
)
def test_why_the_browser_is_used_is_said_in_one_line(
    installed: bool,
    display: bool,
    problem: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    started: list[Settings] = []
    monkeypatch.setattr(desktop, "find_spec", lambda name: installed or None)
    monkeypatch.setattr(desktop, "has_display", lambda: display)
    monkeypatch.setattr(desktop, "start", started.append)
    desktop.start_in_window(settings)
    assert started == [settings]
    assert capsys.readouterr().err == f"qcompare: no window can be opened ({problem}); the browser is used instead\n"
