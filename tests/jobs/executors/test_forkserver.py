"""Jobs that are forked from a process with the libraries imported. Real processes, stand-in jobs."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from qcompare.jobs.control import cancel, resume
from qcompare.jobs.executors import forkserver
from qcompare.jobs.executors.background import ensure_running
from qcompare.jobs.executors.processes import MARK, alive, mark
from qcompare.settings import Settings
from qcompare.store import Store
from tests.fake_cuda import EIGHT, Machine
from tests.jobs.conftest import ours, process_of, running, succeeded, until, wait
from tests.jobs.standin import queue

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="jobs are forked on Linux only")

COMPUTE = """
import os, sys
from qcompare.jobs.executors import forkserver
from multiprocessing import Pipe
import threading

def threads():
    return len(os.listdir("/proc/self/task"))

def compute():
    import torch
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(512, 2048), torch.nn.GELU(), torch.nn.Linear(2048, 512))
    before = threads()
    values = model(torch.randn(256, 512)).detach().double().sum().item()
    return values.hex(), torch.get_num_threads(), threads() - before

if sys.argv[1] == "fresh":
    print(compute())
else:
    ours, theirs = Pipe()
    import importlib
    for name in forkserver.PRELOAD:
        importlib.import_module(name)
    if os.fork() == 0:
        print(compute(), flush=True)
        os._exit(0)
    os.wait()
"""


def test_jobs_come_from_one_process_and_look_like_processes_of_their_own(store: Store, settings: Settings) -> None:
    study = queue(store, ("bf16", "uniform"), steps=30)
    ensure_running(settings)
    process = process_of(running(store, f"{study.id}.bf16"))
    (server,) = ours(settings.home, "forkserver")
    assert process.parent() == server
    assert process.cmdline()[-2:] == ["qcompare.jobs.worker", f"{study.id}.bf16"]
    assert process.environ()[MARK] == mark(settings.home, f"{study.id}.bf16")
    assert process.cwd() == str(store.folder(f"{study.id}.bf16").path)
    assert os.getsid(process.pid) == process.pid
    assert process_of(running(store, f"{study.id}.uniform")).parent() == server
    assert succeeded(wait(store, study.id))
    assert "== stepping" in store.folder(f"{study.id}.uniform").log_tail()
    until(lambda: not alive(server))  # with its supervisor


def test_a_dead_server_is_started_again_and_its_job_goes_on(store: Store, settings: Settings) -> None:
    study = queue(store, ("bf16", "uniform"), steps=30)
    ensure_running(settings)
    job = running(store, f"{study.id}.bf16")
    (server,) = ours(settings.home, "forkserver")
    server.kill()
    second = process_of(running(store, f"{study.id}.uniform"))
    assert second.parent() != server
    assert "forkserver" in " ".join(psutil.Process(second.ppid()).cmdline())
    assert succeeded(wait(store, study.id))
    assert store.job(job.id).attempts == 1


def test_a_server_that_cannot_begin_is_no_loss(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(forkserver, "FORKSERVER", (sys.executable, "-c", "raise SystemExit(1)"))
    study = queue(store)
    job = store.claim("cpu")
    assert job
    server = forkserver.ForkServer(store, settings)
    assert server.fork(job) is None
    assert server.fork(job) is None
    assert capfd.readouterr().err.count("is started afresh") == 1
    assert study


def test_a_job_with_environment_variables_of_its_own_is_started_afresh(store: Store, settings: Settings) -> None:
    """Libraries read them when they are imported."""
    study = queue(store, steps=30)
    cancel(study.id, settings)
    resume(study.id, settings, {"TORCHDYNAMO_DISABLE": "1"})
    process = process_of(running(store, f"{study.id}.bf16"))
    assert "supervisor" in " ".join(psutil.Process(process.ppid()).cmdline())
    assert succeeded(wait(store, study.id))


@pytest.mark.parametrize("changes", [{}, {"TORCHDYNAMO_DISABLE": "1"}, {"device": "cpu"}])
def test_a_job_sees_its_own_gpu_only(
    changes: dict[str, str], store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forked or started afresh; one that is tried again on the CPU sees none."""
    Machine(EIGHT).use(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,2")
    study = queue(store, ("bf16", "uniform"), steps=30)
    cancel(study.id, settings)
    resume(study.id, settings, changes)
    (first, second) = (running(store, f"{study.id}.{recipe}") for recipe in ("bf16", "uniform"))
    assert [first.device, second.device] == [f"cuda:{EIGHT[5].uuid}", f"cuda:{EIGHT[2].uuid}"]
    assert succeeded(wait(store, study.id))
    seen = [(store.folder(job.id).path / "visible.txt").read_text() for job in (first, second)]
    assert seen == (["", ""] if changes == {"device": "cpu"} else [EIGHT[5].uuid, EIGHT[2].uuid])


def test_a_forked_process_computes_the_same_with_as_many_threads(tmp_path: Path) -> None:
    found = []
    for how in ("fresh", "forked"):
        done = subprocess.run([sys.executable, "-c", COMPUTE, how], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        found.append(done.stdout.strip())
    assert found[0] == found[1]
