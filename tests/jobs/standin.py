"""Jobs that need no model: a real supervisor and real worker processes, but what a job computes is a stand-in.

The first prompt of the study says what each job does, as JSON of `Script`. A job keeps each step that it finished, as
evaluation does, and its score is the mean over the steps: it comes out the same however often the job was killed.
"""

import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING

from qcompare.errors import JobError
from qcompare.jobs import node, supervisor, worker
from qcompare.jobs.executors import background, forkserver, processes, transfer
from qcompare.jobs.run import Shared
from qcompare.jobs.stages import Stages
from qcompare.settings import Settings
from qcompare.store import JobFolder, Store
from qcompare.store.cache import CacheKey
from qcompare.study.records import Job, StudyRecord
from qcompare.study.result import Bits, Environment, ModelRef, Result
from qcompare.study.spec import Study
from qcompare.study.stage import Stage

if TYPE_CHECKING:
    import pytest

CHILD = "import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


@dataclass(frozen=True)
class Script:
    """What a stand-in job does."""

    steps: int = 4
    seconds: float = 0.05
    """Of a step."""
    children: tuple[str, ...] = ()
    """Programs started beside it, in sessions of their own."""
    suicides: int = 0
    """Processes that kill themselves after a step."""
    fails: bool = False
    """On a node: ends with an error of our own."""


def use(patch: "pytest.MonkeyPatch | None" = None) -> None:
    """From now on this process starts stand-ins."""
    for module, name in ((processes, "WORKER"), (background, "SUPERVISOR"), (forkserver, "FORKSERVER")):
        command = (sys.executable, "-m", "tests.jobs.standin", name.lower())
        patch.setattr(module, name, command) if patch else setattr(module, name, command)
    on_node = ("-m", "tests.jobs.standin", "node")
    patch.setattr(transfer, "NODE", on_node) if patch else setattr(transfer, "NODE", on_node)


def queue(store: Store, recipes: tuple[str, ...] = ("bf16",), **script: object) -> StudyRecord:
    """A queued study of stand-in jobs."""
    spec = Study(tasks=(), prompts=(dumps(asdict(Script(**script))),), recipes=recipes)  # type: ignore[arg-type]
    return store.add_study(spec, "stand-in", [(recipe, None) for recipe in recipes])


def run_job(store: Store, job: Job, settings: Settings) -> None:
    """In place of `worker.run_job`."""
    script = Script(**loads(store.study(job.study_id).spec.prompts[0]))
    folder = store.folder(job.id)
    _trace(folder.path, "begin")
    (folder.path / "visible.txt").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
    children = [subprocess.Popen([sys.executable, "-c", code], start_new_session=True) for code in script.children]
    kept = folder.path / "kept.txt"
    stages = Stages(folder, {"stepping": 1.0})
    with stages.stage(Stage.EVALUATING, "stepping") as report:
        while len(done := kept.read_text().split() if kept.exists() else []) < script.steps:
            time.sleep(script.seconds)
            with kept.open("a") as file:
                file.write(f"{len(done) * 7 % 11}\n")
            report(len(done) + 1, script.steps)
            if job.attempts <= script.suicides and script.suicides:
                os.kill(os.getpid(), 9)
    for child in children:
        child.kill()
        child.wait()
    result = _result(job, sum(map(int, done)) / len(done))
    with folder.publish() as draft:
        (draft / "result.json").write_text(result.model_dump_json(), encoding="utf-8")
    _trace(folder.path, "end")


def measure(study: Study, job: Job, folder: JobFolder, settings: Settings, shared: Shared) -> None:
    """In place of `node.measure`: finished steps are rows of the shared cache; the log tells what it does."""
    script = Script(**loads(study.prompts[0]))
    rows = shared.cache.rows(CacheKey("steps", job.id, {}, "", {}))
    keys = [str(step).encode() for step in range(script.steps)]
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
    print(f"begins with {len(rows.get(keys))} steps, GPUs: {gpus}", flush=True)
    children = [subprocess.Popen([sys.executable, "-c", code]) for code in script.children]
    stages = Stages(folder, {"stepping": 1.0})
    with stages.stage(Stage.EVALUATING, "stepping") as report:
        for step, key in enumerate(keys):
            if key not in rows.get([key]):
                time.sleep(script.seconds)
                rows.put({key: str(step * 7 % 11).encode()})
            report(step + 1, script.steps)
    for child in children:
        child.kill()
        child.wait()
    if script.fails:
        raise JobError("it is meant to fail")
    done = [int(value) for value in rows.get(keys).values()]
    result = _result(job, sum(done) / len(done))
    with folder.publish() as draft:
        (draft / "result.json").write_text(result.model_dump_json(), encoding="utf-8")
    stages.finished()


def _result(job: Job, average: float) -> Result:
    return Result(
        study_id=job.study_id, job_id=job.id, recipe=job.recipe, layer_config={}, size_bytes=1, tasks=[],
        model=ModelRef(name="stand-in", source="folder", revision="0", num_params=1, num_quantized_params=1),
        bits=Bits(asked=None, achieved=16, achieved_with_scales=16),
        average=average, average_stderr=None, generations=[], seed=42, peak_memory_bytes=1,
        environment=Environment(
            device="cpu", device_name="a CPU", dtype="float32", threads=1, python="3", platform="Linux", libraries={}
        ),
    )  # fmt: skip


def _trace(folder: Path, what: str) -> None:
    with (folder / "trace.txt").open("a") as file:
        file.write(f"{what} {os.getpid()}\n")


if __name__ == "__main__":
    use()
    worker.run_job = run_job
    if sys.argv[1] == "worker":
        sys.exit(worker.main(sys.argv[2]))
    if sys.argv[1] == "node":
        node.measure = measure
        sys.exit(node.main(sys.argv[2]))
    if sys.argv[1] == "forkserver":
        forkserver.PRELOAD = ()
        sys.exit(forkserver.main(sys.argv[2]))
    if sys.argv[1] == "app":
        from qcompare.ui.launch import launch

        launch(Settings())
    supervisor.main()
