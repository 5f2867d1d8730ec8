"""Processes of jobs on Windows and macOS, as far as fakes show it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from qcompare.jobs.executors import forkserver, processes
from qcompare.jobs.executors.local import LocalExecutor
from qcompare.jobs.executors.processes import alive, child_environment, own_session, start_worker, stop
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Status
from tests.jobs.conftest import until
from tests.jobs.standin import queue

ROOT = Path(__file__).parents[3]


def test_a_process_that_outlives_ours_has_a_group_and_an_unseen_console_of_its_own_on_windows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert own_session() == {"start_new_session": True}
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200, raising=False)
    monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", 0x08000000, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    assert own_session() == {"creationflags": 0x08000200}


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_where_nothing_can_be_forked_a_job_runs_in_a_process_started_afresh(
    store: Store, settings: Settings, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(store, steps=2)
    job = store.claim("cpu")
    assert job
    with monkeypatch.context() as fake:
        fake.setattr(sys, "platform", platform)
        assert not forkserver.ForkServer(store, settings)._usable
    monkeypatch.setattr(forkserver, "FORKSERVER", (sys.executable, "-c", "raise SystemExit(1)"))
    executor = LocalExecutor(store, settings)
    executor._server._usable = False
    handle = executor.run(job)
    assert store.started(job.id, "local", handle)
    running = store.job(job.id)
    until(lambda: executor.status(running) is not None, 120)
    assert store.job(job.id).status is Status.SUCCESS
    executor.close()


def test_a_job_is_stopped_where_there_is_no_kill_and_no_cont(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows knows TERM only, which ends a process at once."""
    queue(store, steps=2000)
    job = store.claim("cpu")
    assert job
    process = start_worker(job, store, settings)
    assert store.started(job.id, "local", processes.handle_of(process))
    until(lambda: store.folder(job.id).progress(), 120)
    for name in ("SIGKILL", "SIGCONT"):
        monkeypatch.delattr(signal, name)
    monkeypatch.delattr(os, "killpg")
    stop([store.job(job.id)], settings.home)
    assert not alive(process)
    process.wait()


def test_a_process_that_may_not_be_touched_any_more_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows says so of one that is about to be gone, and of a pid that another user's process has now."""

    class Denied(psutil.Process):
        def send_signal(self, sig: int) -> None:
            raise psutil.AccessDenied(self.pid)

    processes._signal([Denied()], signal.SIGTERM)


def test_children_write_utf8_whatever_the_system_s_encoding(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "POSIX"}.items():
        monkeypatch.setenv(name, value)
    code = "import sys; print('→ 中文', open(sys.argv[1]).read())"
    text = settings.home.parent / "text"
    text.write_text("½", encoding="utf-8")
    command = [sys.executable, "-c", code, str(text)]
    plain = subprocess.run(command, capture_output=True)
    assert plain.returncode or "→ 中文 ½" not in plain.stdout.decode("utf-8", "replace")
    done = subprocess.run(command, env=child_environment(settings), capture_output=True, check=True)
    assert done.stdout.decode("utf-8").strip() == "→ 中文 ½"


def test_locks_hold_without_fcntl(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["fcntl"] = None
from pathlib import Path
from qcompare.jobs.executors.locks import exclusive
with exclusive(Path(sys.argv[1])) as first, exclusive(Path(sys.argv[1]), wait=False) as second:
    print(first, second)
with exclusive(Path(sys.argv[1]), wait=False) as third:
    print(third)
"""
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "lock")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT)
    assert done.stdout.split() == ["True", "False", "True"], done.stderr


def test_a_home_with_spaces_and_letters_of_all_kinds_runs_jobs(
    tmp_path: Path, settings: Settings, store: Store
) -> None:
    """As under `~/Library/Application Support`, or in the folder of a user named Zoë."""
    home = tmp_path / "Application Support" / "Zoë 中 'x' & co"
    settings, store = settings.model_copy(update={"home": home}), Store(home)
    queue(store, steps=2)
    job = store.claim("cpu")
    assert job
    process = start_worker(job, store, settings)
    assert process.wait(120) == 0, store.folder(job.id).log_tail()
    assert store.job(job.id).status is Status.SUCCESS
