"""Ray's Jobs API, on a cluster of two nodes on this machine."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from qcompare.errors import QCompareError
from qcompare.jobs.control import cancel, resume
from qcompare.jobs.executors import Executors
from qcompare.jobs.executors.background import ensure_running
from qcompare.jobs.executors.ray import RayExecutor
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job, Status
from tests.jobs.conftest import succeeded, until, wait
from tests.jobs.executors.clusters import RayCluster, ray_cluster
from tests.jobs.executors.nodes import ended, started
from tests.jobs.standin import CHILD, queue

pytest.importorskip("ray")
RECIPES = ("bf16", "uniform", "head", "tail")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    """Two nodes of one CPU each, and a head that runs nothing."""
    with ray_cluster(tmp_path_factory.mktemp("ray")) as found:
        yield found


@pytest.fixture
def on_ray(cluster: RayCluster, home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of the test's home, whose jobs run there; the commands read them from the environment."""
    settings = cluster.settings(home)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    return settings


def stepped(store: Store, job_id: str, steps: int = 1) -> Job:
    """The job, as soon as it has finished some steps."""
    until(lambda: (seen := store.folder(job_id).progress()) and seen.done >= steps, 400)
    return store.job(job_id)


def test_doctor_checks_the_cluster_and_a_node(store: Store, on_ray: Settings) -> None:
    executor = RayExecutor(store, on_ray)
    found = list(executor.check())
    assert [(each.name, each.ok) for each in found] == [
        ("cluster", True), ("folder", True), ("node", True), ("python", True), ("qcompare", True)
    ], found  # fmt: skip
    assert "3 nodes, 2 CPUs, 0 GPUs" in found[0].text
    assert executor.devices() == ("ray:0", "ray:1")


def test_a_cancelled_job_is_gone_and_goes_on_after_resume(store: Store, on_ray: Settings) -> None:
    study = queue(store, steps=200, seconds=0.1, children=[CHILD])
    ensure_running(on_ray)
    job = stepped(store, f"{study.id}.bf16", 3)
    family = [each for each in psutil.process_iter() if job.id in " ".join(_command(each))]
    family += [child for each in family for child in each.children(recursive=True)]
    assert family
    assert [each.status for each in cancel(study.id, on_ray)] == [Status.CANCELLED]
    until(lambda: not any(each.is_running() and each.status() != "zombie" for each in family), 120)
    resume(study.id, on_ray)
    until(lambda: store.folder(job.id).log_tail().count("begins with") == 2, 400)
    assert store.folder(job.id).log_tail().count("begins with 0 steps") == 1
    cancel(study.id, on_ray)


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def test_a_node_that_dies_costs_at_most_its_job(store: Store, on_ray: Settings, cluster: RayCluster) -> None:
    study = queue(store, RECIPES, steps=10, seconds=0.4)
    ensure_running(on_ray)
    first = [stepped(store, f"{study.id}.{recipe}") for recipe in RECIPES[:2]]
    assert {job.status for job in first} == {Status.RUNNING}
    cluster.kill(cluster.nodes[0])
    jobs = wait(store, study.id, 400)
    assert succeeded(jobs), [str(job.error) for job in jobs]
    # until Ray notices, it may place another job on the dead node: that one is started again, but had not begun
    again = [job for job in jobs if store.folder(job.id).log_tail().count("begins with") > 1]
    assert len(again) == 1
    assert again[0].id in {job.id for job in first}
    assert "Ray says FAILED" in str(again[0].interrupted)
    log = store.folder(again[0].id).log_tail()
    assert log.count("begins with 0 steps") == 1  # it went on from the steps that were kept


def test_a_job_holds_gpus_and_sees_only_its_own(store: Store, on_ray: Settings, cluster: RayCluster) -> None:
    cluster.add_node(num_gpus=3)
    executor = RayExecutor(store, on_ray)
    until(lambda: executor.devices() == ("ray:0", "ray:1", "ray:2"), 120)
    queue(store, steps=1)
    job = started(executor, store, "ray:0,1")
    assert ended(executor, job, 400).failure is None
    assert "GPUs: 0,1" in store.folder(job.id).log_tail()


def test_a_cluster_that_does_not_answer_fails_the_job_with_the_reason(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QCOMPARE_EXECUTOR", "ray")
    monkeypatch.setenv("QCOMPARE_EXECUTOR_ADDRESS", "http://127.0.0.1:1")
    study = queue(store)
    ensure_running(Settings())
    (job,) = wait(store, study.id, 400)
    assert job.status is Status.FAILED
    assert "Ray at http://127.0.0.1:1 does not answer" in str(job.error)


def test_without_the_library_one_line_says_what_to_install(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qcompare.jobs.executors.ray.find_spec", lambda name: None)
    with pytest.raises(QCompareError, match=r"pip install 'qcompare\[ray\]'"):
        _ = Executors(store, Settings(executor="ray")).default
    assert os.environ["QCOMPARE_HOME"] == str(store.home)
