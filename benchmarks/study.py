"""The demo study from start to table against the plain script a user would write with auto-round and lm-eval.

    python -m benchmarks.study [--limit 25] [--dtype float32]

Both do five recipes, four tasks and two prompts, in the same dtype: the one that a study takes on this machine. Ours
also measures the KL divergence, which the plain script does not. Both start from a fetched model and with no
sensitivity scores kept. Runs a quarter of an hour on two cores.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import demo
from benchmarks.report import Cell, report
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.spec import Study


def run_plain(folder: Path, limit: int, dtype: str) -> tuple[float, dict[str, dict[str, float]]]:
    """The script's seconds, and by recipe those it reports itself."""
    environment = os.environ | {"AR_AUTO_SCHEME_CACHE": str(folder / "scores"), "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-m", "benchmarks.plain_script", "--limit", str(limit), "--dtype", dtype]
    told = folder / "stdout"
    started = time.perf_counter()
    with told.open("w") as stdout:
        subprocess.run(command, cwd=folder, env=environment, stdout=stdout, check=True)
    seconds = time.perf_counter() - started
    lines = [json.loads(line) for line in told.read_text().splitlines() if line.startswith('{"recipe"')]
    return seconds, {line["recipe"]: line["seconds"] for line in lines}


def run_ours(folder: Path, limit: int, dtype: str) -> tuple[float, dict[str, float], str]:
    """Our seconds, by recipe those of its job, and the dtype that it computed in."""
    settings, environment, spec = study_environment(folder, Study(limit=limit), dtype)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "qcompare", "run", str(spec)], env=environment, check=True)
    seconds = time.perf_counter() - started
    store = Store(settings.home)
    [study] = store.studies()
    [found] = {result.environment.dtype for result in store.results(study.id)}
    jobs = store.jobs(study.id)
    return seconds, {job.recipe: job.finished - job.started for job in jobs if job.finished and job.started}, found


def study_environment(folder: Path, study: Study, dtype: str = "auto") -> tuple[Settings, dict[str, str], Path]:
    """A home of its own with the shared bundle, the environment to run in it, and the study's file."""
    spec = folder / "study.yaml"
    spec.write_text(json.dumps(study.model_dump(mode="json")), encoding="utf-8")
    settings = Settings(home=folder / "home", bundle_dir=Settings().demo_dir, offline=True, dtype=dtype)
    return settings, os.environ | settings.environment() | {"PYTHONPATH": os.getcwd()}, spec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=Study().limit, help="questions per task")
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16"))
    args = parser.parse_args()
    limit: int = args.limit
    demo.bundle()
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as plain:
        our_seconds, our_jobs, dtype = run_ours(Path(ours), limit, args.dtype)
        plain_seconds, plain_jobs = run_plain(Path(plain), limit, dtype)
    rows: list[dict[str, Cell]] = [
        {
            "recipe": recipe,
            "plain script s": seconds["all"],
            "of it quantizing": seconds["quantize"],
            "qcompare s": our_jobs[recipe],
            "ratio": seconds["all"] / our_jobs[recipe],
        }
        for recipe, seconds in plain_jobs.items()
    ]
    rows.append(
        {
            "recipe": "**whole study**",
            "plain script s": plain_seconds,
            "of it quantizing": sum(seconds["quantize"] for seconds in plain_jobs.values()),
            "qcompare s": our_seconds,
            "ratio": plain_seconds / our_seconds,
        }
    )
    name = "study" if limit == Study().limit else f"study --limit {limit}"
    report(name, f"The demo study against a plain script, {dtype} (5 recipes × 4 tasks × {limit} questions)", rows)


if __name__ == "__main__":
    main()
