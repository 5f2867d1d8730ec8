"""One job per GPU, all GPUs used, and jobs that hold several. Real processes on a made-up machine, stand-in jobs."""

import pytest

from qcompare.jobs.executors.background import ensure_running
from qcompare.models.devices import split_ids
from qcompare.plan import memory
from qcompare.plan.plan import make_plan
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Cost, Job, Range, StudyRecord
from qcompare.study.spec import Study
from qcompare.words import Message
from tests.fake_cuda import EIGHT, Gpu, Machine
from tests.jobs.conftest import succeeded, wait
from tests.jobs.standin import queue

NOTHING = Range(low=0, likely=0, high=0)


def hold(store: Store, study: StudyRecord, gpus: dict[str, int]) -> None:
    """Let jobs of a study need so many GPUs."""
    for recipe, count in gpus.items():
        cost = Cost(
            seconds=NOTHING, memory_bytes=NOTHING, ram_bytes=NOTHING, disk_bytes=0, basis=Message("a test"),
            stages={}, gpus=count,
        )  # fmt: skip
        with store._database.change() as db:
            values = (cost.model_dump_json(), f"{study.id}.{recipe}")
            db.execute("UPDATE job SET estimate = ? WHERE id = ?", values)


def overlap(jobs: list[Job]) -> bool:
    """Two of the jobs held one GPU at the same time."""
    for one in jobs:
        for other in jobs:
            shared = set(split_ids(one.device or "")) & set(split_ids(other.device or ""))
            assert one.started and one.finished and other.started and other.finished
            if one.id < other.id and shared and one.started < other.finished and other.started < one.finished:
                return True
    return False


def test_jobs_hold_as_many_gpus_as_they_need_and_never_share_one(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Machine(EIGHT[:3]).use(monkeypatch)
    study = queue(store, ("bf16", "uniform", "head", "tail"), steps=10)
    hold(store, study, {"uniform": 2, "head": 8})
    ensure_running(settings)
    jobs = wait(store, study.id)
    assert succeeded(jobs) and not overlap(jobs)
    held = {job.recipe: len(split_ids(job.device or "")) for job in jobs}
    assert held == {"bf16": 1, "uniform": 2, "head": 3, "tail": 1}
    seen = (store.folder(f"{study.id}.uniform").path / "visible.txt").read_text()
    assert seen == f"{EIGHT[1].uuid},{EIGHT[2].uuid}"


def test_the_plan_divides_the_time_among_gpus(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study(recipes=("bf16", "uniform", "head", "tail"), divergence=None)
    Machine(EIGHT[:1]).use(monkeypatch)
    alone = make_plan(study, settings)
    Machine(EIGHT[:4]).use(monkeypatch)
    together = make_plan(study, settings)
    longest = max(job.cost.seconds.likely for job in together.jobs)
    assert alone.seconds.likely == pytest.approx(sum(job.cost.seconds.likely for job in alone.jobs))
    assert together.seconds.likely == pytest.approx(longest)
    in_pairs = make_plan(study, settings.model_copy(update={"gpus_per_job": 2}))
    assert {job.cost.gpus for job in in_pairs.jobs} == {2}
    assert together.seconds.likely < in_pairs.seconds.likely < alone.seconds.likely


def test_a_model_larger_than_a_gpu_gets_several(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(tuple(Gpu(f"GPU-{n}", gb=2) for n in range(4))).use(monkeypatch)
    study = Study(recipes=("bf16",), tasks=("piqa",), divergence=None)
    assert make_plan(study, settings).jobs[0].cost.gpus == 1
    monkeypatch.setattr(memory, "LEAST_WORK", {"gpu": 2_000_000_000, "cpu": 0})  # as if it were a larger model
    assert make_plan(study, settings).jobs[0].cost.gpus == 3
