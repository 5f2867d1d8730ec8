"""How far estimates are off after three studies: the demo study's jobs, as planned and as they ran.

    python -m benchmarks.estimates

Three smaller studies teach a fresh home what this machine does: other numbers of questions, not the same jobs. Then
the demo study is queued, which notes the estimates, and run. Ten minutes on two cores.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import demo
from benchmarks.report import Cell, report
from benchmarks.study import study_environment
from qcompare.store import Store
from qcompare.study.spec import Study

BEFORE = (
    Study(limit=10, recipes=("bf16", "uniform")),
    Study(limit=15, recipes=("tail", "mixed")),
    Study(limit=20, recipes=("bf16", "head")),
)


def run(folder: Path, study: Study) -> list[dict[str, Cell]]:
    """Run a study; one row a job of it, and one for all."""
    settings, environment, file = study_environment(folder, study)
    subprocess.run([sys.executable, "-m", "qcompare", "run", str(file)], env=environment, check=True)
    store = Store(settings.home)
    rows, estimated, took = [], 0.0, 0.0
    for job in store.jobs(store.studies()[0].id):
        assert job.estimate and job.started and job.finished
        seconds, expected = job.finished - job.started, job.estimate.seconds.likely
        peak, memory = store.folder(job.id).result().peak_memory_bytes, job.estimate.memory_bytes.likely
        estimated, took = estimated + expected, took + seconds
        rows.append({**_row(job.recipe, expected, seconds), **_memory(memory, peak)})
    rows.append({**_row("**the study**", estimated, took), **_memory(None, None)})
    return rows


def _row(recipe: str, estimated: float, took: float) -> dict[str, Cell]:
    return {"recipe": recipe, "estimated s": estimated, "took s": took, "off, %": 100 * (estimated / took - 1)}


def _memory(estimated: float | None, peak: int | None) -> dict[str, Cell]:
    off = 100 * (estimated / peak - 1) if estimated and peak else None
    return {
        "estimated GB": estimated and estimated / 1e9,
        "peak GB": peak and peak / 1e9,
        "memory off, %": off,
    }


def main() -> None:
    """Teach, run, note."""
    demo.bundle()
    with tempfile.TemporaryDirectory() as folder:
        for study in BEFORE:
            run(Path(folder), study)
        rows = run(Path(folder), Study())
    report(
        "estimates", "Estimates of the demo study after three other studies (asked: time ± 30 %, memory ± 20 %)", rows
    )


if __name__ == "__main__":
    main()
