"""Seconds against questions, raised step by step with what is known kept, and against recipes of one study.

    python -m benchmarks.scaling [--most 3200] [--recipes 8]

Both should be straight lines: the last column shows how far a step is from the line through all of them.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import demo
from benchmarks.report import Cell, report
from benchmarks.scoring import ours
from benchmarks.study import study_environment
from qcompare.store import Store
from qcompare.study.spec import Study

TASK = "lambada_openai"


def against_questions(most: int) -> list[tuple[int, float]]:
    """(questions, seconds from none to that many), the limit doubled from 100."""
    model, tokenizer = demo.load()
    lm, spent, points = ours(model, tokenizer)(), 0.0, []
    limit = 100
    while limit <= most:
        requests = demo.requests(TASK, limit)
        started = time.perf_counter()
        lm.loglikelihood(requests, disable_tqdm=True)
        spent += time.perf_counter() - started
        points.append((limit, spent))
        limit *= 2
    return points


def against_recipes(recipes: int) -> list[tuple[int, float]]:
    """(jobs finished, seconds since the start) of one study: uniform, then head and tail at several budgets."""
    budgets = tuple(4.5 + 0.5 * step for step in range(recipes // 2))
    spec = Study(
        recipes=("uniform", "head", "tail"), avg_bits=budgets, tasks=("piqa",), limit=10, prompts=(), divergence=None
    )
    with tempfile.TemporaryDirectory() as folder:
        settings, environment, file = study_environment(Path(folder), spec)
        subprocess.run([sys.executable, "-m", "qcompare", "run", str(file)], env=environment, check=True)
        store = Store(settings.home)
        jobs = store.jobs(store.studies()[0].id)[:recipes]
        begin = min(job.started for job in jobs if job.started)
        return [
            (n, end - begin) for n, end in enumerate(sorted(job.finished for job in jobs if job.finished), start=1)
        ]


def rows(what: str, points: Sequence[tuple[int, float]]) -> list[dict[str, Cell]]:
    """A row a point, with its distance from the straight line through all."""
    x, y = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    slope, constant = np.polyfit(x, y, 1)
    return [
        {
            what: n,
            "seconds": seconds,
            f"seconds a {what.rstrip('s')}": seconds / n,
            "straight line": constant + slope * n,
            "off the line, % of the last": 100 * (seconds - constant - slope * n) / y[-1],
        }
        for n, seconds in points
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=3200, help="questions of the last step")
    parser.add_argument("--recipes", type=int, default=8, help="jobs of the study")
    args = parser.parse_args()
    demo.quiet()
    report("scaling", f"Seconds against questions of {TASK} (BF16 row; each step computes the new ones only)",
           rows("questions", against_questions(args.most)))  # fmt: skip
    report("scaling --recipes 8", "Seconds against recipes (piqa, 10 questions, one process each)",
           rows("recipes", against_recipes(args.recipes)))  # fmt: skip


if __name__ == "__main__":
    main()
