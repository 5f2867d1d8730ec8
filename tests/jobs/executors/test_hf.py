"""Hugging Face Jobs against a server that answers as the hub's API does (huggingface_hub 1.33), and runs what it is
given as a process of this machine."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from qcompare.errors import InvalidStudy, JobError
from qcompare.jobs.executors.hf import HubExecutor, HubOptions
from qcompare.jobs.executors.transfer import Transfer
from qcompare.settings import Settings
from qcompare.store import Store
from tests.jobs import standin
from tests.jobs.executors.nodes import ROOT, ended, started

JOB = {
    "id": "687fb701029421ae5549d998",
    "createdAt": "2026-11-27T16:06:25.790Z",
    "startedAt": None,
    "finishedAt": None,
    "dockerImage": "python:3.11",
    "flavor": "cpu-basic",
    "labels": {},
    "volumes": [],
    "owner": {"id": "5e9ecfc04957053f60648a3e", "name": "somebody", "type": "user"},
    "status": {"stage": "RUNNING", "message": None, "failureCount": 0},
}
"""A job as the API describes it."""


class Hub(BaseHTTPRequestHandler):
    """The endpoints of jobs, for one job."""

    asked: ClassVar[list[dict[str, Any]]] = []
    stage: ClassVar[dict[str, Any]] = {}
    environment: ClassVar[dict[str, str]] = {}
    process: ClassVar[subprocess.Popen[bytes] | None] = None

    def do_GET(self) -> None:
        if self.path == "/api/whoami-v2":
            self._answer({"name": "somebody", "type": "user"})
        elif self.path.startswith(f"/api/jobs/somebody/{JOB['id']}/logs"):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for line in ("===== Job started =====", "Killed"):
                data = json.dumps({"data": line, "timestamp": "2026-11-27T16:06:31.790Z"})
                self.wfile.write(f"data: {data}\n\n".encode())
        elif self.path == f"/api/jobs/somebody/{JOB['id']}":
            self._answer(self._job())
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/api/jobs/somebody":
            self.asked.append(json.loads(data))
            Hub.stage = {}
            command = self.asked[-1]["command"]
            Hub.process = subprocess.Popen(command, env=self.environment, start_new_session=True)
            self._answer(self._job())
        elif self.path == f"/api/jobs/somebody/{JOB['id']}/cancel":
            Hub.stage = {"stage": "CANCELED", "message": None}
            assert Hub.process
            os.killpg(Hub.process.pid, 9)
            self._answer(self._job())
        else:
            self.send_error(404)

    def _job(self) -> dict[str, Any]:
        code = Hub.process.poll() if Hub.process else None
        ends = {None: "RUNNING", 0: "COMPLETED"}.get(code, "ERROR")
        return {**JOB, "status": {**JOB["status"], "stage": ends, **Hub.stage}}  # type: ignore[dict-item]

    def _answer(self, values: dict[str, Any]) -> None:
        data = json.dumps(values).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """The server, in place of the hub."""
    standin.use(monkeypatch)
    python = tmp_path / "bin"
    python.mkdir()
    (python / "python").symlink_to(sys.executable)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QCOMPARE_")}
    monkeypatch.setattr(
        Hub,
        "environment",
        {
            **kept,
            "PATH": f"{python}{os.pathsep}{kept['PATH']}",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(pytest.__file__).parents[1]}",
            "QCOMPARE_NODE_HOME": str(tmp_path / "node"),
        },
    )
    Hub.asked.clear()
    Hub.stage = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(HubExecutor, "ask_seconds", 0.0)
    monkeypatch.setattr(HubExecutor, "grace_seconds", 0.0)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield Hub
    server.shutdown()
    server.server_close()
    if Hub.process and Hub.process.poll() is None:
        os.killpg(Hub.process.pid, 9)
        Hub.process.wait()


def executor(settings: Settings, folder: str, **options: object) -> HubExecutor:
    text = json.dumps({"install": "", **options})
    return HubExecutor(
        Store(settings.home), settings.model_copy(update={"executor_folder": folder, "executor_options": text})
    )


def test_a_job_runs_as_a_hugging_face_job(hub: type[Hub], settings: Settings, tmp_path: Path) -> None:
    store, runs = Store(settings.home), executor(settings, f"file://{tmp_path}/bucket", flavor="l4x4", token=True)
    standin.queue(store, steps=2)
    job = started(runs, store, runs.devices()[0])
    found = ended(runs, job)
    assert store.folder(job.id).damage() is None, (found, store.folder(job.id).log_tail())
    (asked,) = hub.asked
    assert (asked["flavor"], asked["timeoutSeconds"]) == ("l4x4", 24 * 3600)  # the hub's own default is 30 minutes
    assert asked["secrets"] == {"HF_TOKEN": "hf_secret"}
    assert runs.gpus(job) == 4


def test_the_bucket_is_mounted_and_no_token_leaves_this_machine(settings: Settings) -> None:
    runs = executor(settings, "hf://buckets/somebody/studies/deep", install="qcompare==0.1.0")
    asked: dict[str, Any] = {}
    runs._ask = lambda method, **named: asked.update(named) or _Info  # type: ignore[method-assign,assignment]
    place = Transfer("memory://x")
    place.url = f"{runs.root}/studies/s/s.bf16"
    assert runs.node_url(place) == "/qcompare/deep/studies/s/s.bf16"
    assert runs.start(["-m", "x", runs.node_url(place)], "s.bf16", 0) == "somebody/7"
    (volume,) = asked["volumes"]
    assert (volume.type, volume.source, volume.mount_path) == ("bucket", "somebody/studies", "/qcompare")
    assert asked["secrets"] is None
    assert asked["command"][2].startswith("python -m pip install -q qcompare==0.1.0 && exec python -m x /qcompare")


class _Info:
    id = "7"
    owner = type("Owner", (), {"name": "somebody"})


def test_a_failed_stage_is_read_and_told_in_plain_words(hub: type[Hub], settings: Settings, tmp_path: Path) -> None:
    store, runs = Store(settings.home), executor(settings, f"file://{tmp_path}/bucket", timeout="5m")
    standin.queue(store, steps=1000)
    job = started(runs, store)
    hub.stage = {"stage": "ERROR", "message": "Job timeout"}
    found = ended(runs, job)
    assert "failed (Job timeout): its time of 5m was over, memory ran out, or" in str(found.cause)
    assert found.failure is None  # it is tried again


def test_a_cancelled_job_is_gone(hub: type[Hub], settings: Settings, tmp_path: Path) -> None:
    store, runs = Store(settings.home), executor(settings, f"file://{tmp_path}/bucket")
    standin.queue(store, steps=1000)
    job = started(runs, store)
    runs.stop([job])
    assert hub.process
    assert hub.process.wait(60) == -9
    assert str(runs.ended(f"somebody/{JOB['id']}")).endswith("was cancelled")
    assert runs.output(f"somebody/{JOB['id']}") == "Killed"


def test_doctor_names_who_pays(hub: type[Hub], settings: Settings, tmp_path: Path) -> None:
    found = list(executor(settings, f"file://{tmp_path}/bucket").check())
    assert [each.ok for each in found] == [True] * 5, found
    assert found[0].text.startswith("Hugging Face Jobs of somebody: cpu-basic, python:3.")


def test_what_the_hub_refuses_is_one_line(hub: type[Hub], settings: Settings, tmp_path: Path) -> None:
    runs = executor(settings, f"file://{tmp_path}/bucket", namespace="nobody")
    with pytest.raises(JobError, match="the hub refuses"):
        runs.start(["-m", "x"], "x", 0)


def test_without_a_bucket_there_is_no_way_to_the_job(settings: Settings) -> None:
    with pytest.raises(InvalidStudy, match="need a bucket"):
        executor(settings, str(settings.home))
    assert HubOptions().timeout == "1d"
