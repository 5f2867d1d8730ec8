"""How long a job takes from being handed to a device until its first stage, forked and started afresh.

    python -m benchmarks.startup [--jobs 5]

Real workers, on a small random Llama that answers two prompts and one task of the demo bundle, so that what is left
is mostly start-up. Jobs are started afresh when they have environment variables of their own; that is used here.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.faults import until
from benchmarks.report import Cell, report
from qcompare.jobs.control import cancel, resume
from qcompare.jobs.submit import submit
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job, Status
from qcompare.study.spec import Study
from tests.tiny import tiny_llama

AFRESH = {"OMP_WAIT_POLICY": "PASSIVE"}
"""A variable that changes nothing here."""
END_SECONDS = 600.0


def run(
    settings: Settings, model: Path, jobs: int, changes: dict[str, str]
) -> list[tuple[float, float, float | None]]:
    """(seconds to the first stage, seconds in all, score) of each job, in order."""
    store = Store(settings.home)
    spec = Study(
        model=str(model), recipes=("bf16", "uniform"), avg_bits=(5.0,), tasks=("piqa",), limit=20,
        prompts=("Hi", "The capital of France is"), max_new_tokens=2, divergence=None,
    )  # fmt: skip
    found = []
    for _ in range((jobs + 1) // 2):
        record = submit(spec, settings, anyway=True)
        if changes:
            cancel(record.id, settings)
            resume(record.id, settings, changes)
        until(lambda: store.study(record.id).status.ended, END_SECONDS)  # noqa: B023
        found += [_measured(store, job) for job in store.jobs(record.id)]
    return found[:jobs]


def _measured(store: Store, job: Job) -> tuple[float, float, float | None]:
    assert job.status is Status.SUCCESS, job.error
    assert job.started
    assert job.finished
    folder = store.folder(job.id)
    first = json.loads(folder.events.read_text(encoding="utf-8").splitlines()[0])
    return first["time"] - job.started, job.finished - job.started, folder.result().average


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=6)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="qcompare-startup-"))
    bundle = Path(os.environ.get("QCOMPARE_BUNDLE_DIR") or "~/.cache/qcompare-demo").expanduser()
    model = tiny_llama(folder)
    rows: list[dict[str, Cell]] = []
    scores = []
    for name, changes in (("started afresh", AFRESH), ("forked", {})):
        settings = Settings(home=folder / name.replace(" ", "-"), bundle_dir=bundle, offline=True)
        found = run(settings, model, options.jobs, changes)
        scores.append([score for _, _, score in found])
        first, *later = found
        rows.append(
            {
                "jobs": name,
                "first job: to its first stage, s": first[0],
                "later jobs: to their first stage, s": statistics.median(job[0] for job in later),
                "first job in all, s": first[1],
                "later jobs in all, s": statistics.median(job[1] for job in later),
            }
        )
    same = "the same scores to the last bit" if scores[0] == scores[1] else f"SCORES DIFFER: {scores}"
    faster = float(rows[0]["later jobs in all, s"] or 0) / float(rows[1]["later jobs in all, s"] or 1)
    report("startup", "Start of a job", rows, [f"later jobs are {faster:.1f} times as fast in all; {same}"])


if __name__ == "__main__":
    main()
