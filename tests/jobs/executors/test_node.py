"""A node of a cluster: it works from the job's folder alone."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from qcompare.jobs.executors import transfer
from qcompare.jobs.submit import submit
from qcompare.jobs.worker import run_job
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.spec import Study
from tests.jobs import standin
from tests.jobs.conftest import until
from tests.jobs.executors.nodes import ROOT, ProcessExecutor, ended, started

WATCH = """
import os, sys
def watch(event, arguments):
    if event == "sqlite3.connect" or (event == "subprocess.Popen" and "supervisor" in str(arguments[:2])):
        with open(os.environ["WATCHED"], "a") as file:
            file.write(f"{event} {arguments}\\n")
sys.addaudithook(watch)
"""
QUESTIONS = "question,A,B,answer\nWhat is 1 + 1?,2,3,A\nWhat is 2 + 2?,5,4,B\nWhat is 3 + 3?,6,7,A\n"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a node: Python tells of every SQLite file that it opens and every supervisor that it starts."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(WATCH)
    (tmp_path / "watched.txt").touch()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QCOMPARE_")}
    own = {"PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "WATCHED": str(tmp_path / "watched.txt")}
    return kept | own | {"QCOMPARE_NODE_HOME": str(tmp_path / "node"), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def node(settings: Settings, environment: dict[str, str]) -> Iterator[ProcessExecutor]:
    """An executor with such a node."""
    (settings.home / "cluster").mkdir(parents=True)
    executor = ProcessExecutor(Store(settings.home), settings, environment)
    yield executor
    for process in executor.processes.values():
        process.kill()
        process.wait()


def test_the_watch_tells_of_sqlite(environment: dict[str, str], tmp_path: Path) -> None:
    """Otherwise the next test proves nothing."""
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", "import sqlite3; sqlite3.connect(':memory:')"], env=environment, check=True)
    assert (tmp_path / "watched.txt").read_text().startswith("sqlite3.connect")


def test_a_node_opens_no_sqlite_file_starts_no_supervisor_and_finds_what_this_machine_finds(
    node: ProcessExecutor, tiny_llama: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcompare.jobs.submit.ensure_running", lambda settings: None)
    questions = tmp_path / "sums.csv"
    questions.write_text(QUESTIONS)
    study = Study(model=str(tiny_llama), tasks=(str(questions),), recipes=("uniform",), prompts=(), divergence=None)
    for _ in range(2):
        submit(study, settings, anyway=True)
    here = node.store.claim("cpu")
    assert here
    run_job(node.store, here, settings)
    job = started(node, node.store)
    questions.rename(tmp_path / "gone.csv")  # the node has its copy
    found = ended(node, job, 600)
    folder = node.store.folder(job.id)
    assert folder.damage() is None, (found, folder.log_tail())
    assert (tmp_path / "watched.txt").read_text() == ""
    own, its = node.store.folder(here.id).result(), folder.result()
    assert (its.tasks, its.row_tokens, its.layer_config) == (own.tasks, own.row_tokens, own.layer_config)
    assert its.tasks[0].task == str(questions)
    assert "== sums" in folder.log_tail() or str(questions) in folder.log_tail()
    progress = folder.progress()
    assert progress and progress.fraction == 1.0
    assert list((Path(node.root) / "kept" / "log_likelihoods").glob("*/*.rows"))
    node.stop([job])
    assert not Path(transfer.Transfer.of(node.root, job).path).exists()


def test_a_killed_attempt_costs_only_its_last_step(node: ProcessExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    standin.use(monkeypatch)
    store = node.store
    standin.queue(store, steps=8, seconds=0.3)
    job = started(node, store)
    until(lambda: "stepping" in store.folder(job.id).log_tail() or node.logs(job), 300)
    until(lambda: node.logs(job) or ((seen := store.folder(job.id).progress()) and seen.done >= 2), 300)
    node.processes[transfer_id(job)].kill()
    cause = ended(node, job).cause
    assert str(cause) == "it ended with -9"
    store.interrupted(job.id, cause)
    again = started(node, store)
    ended(node, again)
    log = store.folder(job.id).log_tail()
    assert store.folder(job.id).damage() is None
    assert log.index("begins with 0 steps") < log.index("begins with", 30)
    assert "begins with 0 steps" not in log[log.index("begins with 0 steps") + 1 :]


def transfer_id(job: object) -> str:
    """By which the executor knows its process."""
    from qcompare.jobs.executors.remote import Handle

    return Handle.model_validate_json(job.handle).id  # type: ignore[attr-defined]


def test_a_job_that_is_taken_back_ends_with_its_children(
    node: ProcessExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin.use(monkeypatch)
    standin.queue(node.store, steps=1000, children=[standin.CHILD])
    job = started(node, node.store)
    process = psutil.Process(int(transfer_id(job)))
    until(lambda: process.children(), 300)
    child = process.children()[0]
    # as after a new attempt elsewhere, or where the cluster does not answer a `stop`
    shutil.rmtree(transfer.Transfer.of(node.root, job).path)
    assert node.processes[transfer_id(job)].wait(120) == 3
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_an_error_of_the_job_arrives_and_is_not_tried_again(
    node: ProcessExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin.use(monkeypatch)
    standin.queue(node.store, steps=1, fails=True)
    found = ended(node, started(node, node.store))
    assert found.failure
    assert str(found.failure.message) == "it is meant to fail"


def test_a_node_with_other_code_refuses(node: ProcessExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    standin.use(monkeypatch)
    monkeypatch.setattr("qcompare.jobs.executors.remote.code_version", lambda: "0.0 else")
    standin.queue(node.store)
    found = ended(node, started(node, node.store))
    assert found.failure
    assert "install the same on all machines" in str(found.failure.message)


def test_what_a_process_prints_that_cannot_begin_is_in_the_log(
    node: ProcessExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "NODE", ("-m", "no_such_module"))
    standin.queue(node.store)
    job = started(node, node.store)
    found = ended(node, job)
    assert found.failure is None
    assert "No module named no_such_module" in node.store.folder(job.id).log_tail()


def test_doctor_says_what_a_node_is(node: ProcessExecutor) -> None:
    found = list(node.check())
    assert [each.name for each in found] == ["cluster", "folder", "node", "python", "qcompare"]
    assert all(each.ok for each in found)


def test_doctor_says_why_no_node_answers(node: ProcessExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "NODE", ("-m", "no_such_module"))
    *_, last = node.check()
    assert not last.ok
    assert "No module named no_such_module" in last.text
