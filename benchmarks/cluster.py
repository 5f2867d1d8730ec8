"""What a second node of a Ray cluster saves, and what a job costs besides its own work.

    python -m benchmarks.cluster [--jobs 8] [--seconds 10]

Jobs are stand-ins that wait for so many seconds in ten steps, each of which is kept. So what is measured is the way
there and back: transfer, placement, the start of Python, the noticing of the end. One node of one CPU, then two.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks.faults import until
from benchmarks.report import Cell, report
from qcompare.jobs.executors.background import ensure_running
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Status
from tests.jobs import standin
from tests.jobs.executors.clusters import ray_cluster

RECIPES = ("bf16", "uniform", "head", "tail", "mixed", "best", "rtn_fp8_dynamic", "rtn_fp8_block")
"""Names for the jobs, which build none of them."""
STEPS = 10
END_SECONDS = 3600.0
MOST_RATIO, MOST_OVERHEAD = 0.6, 5.0
"""Asked: of the time with two nodes to that with one, and seconds per job."""


def run(settings: Settings, jobs: int, seconds: float) -> tuple[float, list[float]]:
    """(seconds from the first start to the last end, seconds of each job) of jobs that wait so long."""
    store = Store(settings.home)
    study = standin.queue(store, RECIPES[:jobs], steps=STEPS, seconds=seconds / STEPS)
    ensure_running(settings)
    until(lambda: store.study(study.id).status.ended, END_SECONDS)
    done = store.jobs(study.id)
    assert all(job.status is Status.SUCCESS for job in done), [str(job.error) for job in done]
    spans = [(job.started or 0.0, job.finished or 0.0) for job in done]
    return max(end for _, end in spans) - min(begin for begin, _ in spans), [end - begin for begin, end in spans]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=len(RECIPES), choices=range(2, len(RECIPES) + 1))
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    standin.use()
    folder = Path(tempfile.mkdtemp(prefix="qcompare-cluster-"))
    rows: list[dict[str, Cell]] = []
    with ray_cluster(folder, nodes=0) as cluster:
        for nodes in (1, 2):
            cluster.add_node()
            whole, each = run(cluster.settings(folder / f"home{nodes}"), options.jobs, options.seconds)
            rows.append(
                {
                    "nodes": nodes,
                    f"{options.jobs} jobs, s": whole,
                    "of one node": whole / float(rows[0][f"{options.jobs} jobs, s"] or 1) if rows else 1.0,
                    "a job, s (median)": statistics.median(each),
                    "of these not its own work, s": statistics.median(each) - options.seconds,
                }
            )
    notes = [
        f"a job's own work is {options.seconds:g} s of waiting in {STEPS} steps",
        f"asked: two nodes at most {MOST_RATIO} of one, at most {MOST_OVERHEAD:g} s per job besides its own work",
    ]
    report("cluster", "A Ray cluster on this machine", rows, notes)


if __name__ == "__main__":
    main()
