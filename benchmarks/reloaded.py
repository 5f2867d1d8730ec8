"""NVFP4: reloaded checkpoints and the simulated model, as libraries compute them and as jobs do, in turns.

    OMP_NUM_THREADS=1 python -m benchmarks.reloaded [--repeat 3] [--limit 10]

Checkpoints are written by auto-round, rounded to nearest. Seconds are of the processor, so that other work on the
machine matters little. A ratio is the median over turns of a model's seconds over those of the simulated NVFP4 row in
the same turn.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import demo
from benchmarks.report import Cell, report
from benchmarks.scoring import ours, run

FORMATS = ("llm_compressor", "auto_round")
SIMULATED = "NVFP4, simulated"


def layers(model: Any) -> list[str]:
    """Linear layers of the blocks."""
    import torch

    return [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"]


def simulated(scheme: str, by_library: bool = False) -> Any:
    """The demo model at one scheme, with calibrated scales of inputs; inputs rounded by us or by auto-round."""
    from auto_round.data_type.nvfp import nv_fp4_with_static_gs

    from qcompare.quantize.input_maxima import input_maxima
    from qcompare.quantize.simulate import SharedInput, round_inputs, simulate

    model, tokenizer = demo.load()
    names = layers(model)
    maxima = input_maxima(model, names, [tokenizer("The capital of France is Paris.")["input_ids"]])
    simulate(model, dict.fromkeys(names, scheme), activations=not by_library, input_maxima=maxima)
    if by_library:
        shared, modules = SharedInput(), dict(model.named_modules())
        theirs = {most: lambda x, most=most: nv_fp4_with_static_gs(x, tensor_max=most)[0] for most in maxima.values()}
        for name in names:
            round_inputs(modules[name], shared, theirs[maxima[name]])
    return model


def written(format: str) -> Path:
    """An NVFP4 checkpoint of the demo model."""
    from tests.tiny import quantize

    folder = Path(tempfile.mkdtemp())
    os.chdir(folder)  # auto-round leaves a work folder behind
    return quantize(demo.bundle().model, "NVFP4", format, folder)


def reloaded(checkpoint: Path, fast: bool) -> Any:
    """A checkpoint as a model; as its library computes it, or as jobs do."""
    from qcompare.models.checkpoint import fetch_checkpoint
    from qcompare.models.checkpoint_loading import load_checkpoint
    from qcompare.models.facts import LocalModel
    from qcompare.models.sources import describe
    from qcompare.quantize.reloaded import speed_up_reloaded
    from qcompare.settings import Settings

    settings, (_, tokenizer) = Settings(offline=True), demo.load()
    found = fetch_checkpoint(str(checkpoint), describe("demo", settings), settings, print)
    base = LocalModel(demo.bundle().model, "demo", "demo bundle", "r")
    model = load_checkpoint(found, base, tokenizer, "cpu", "float32", settings, False, lambda done, total: None).model
    if fast:
        speed_up_reloaded(model)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--limit", type=int, default=10, help="questions per task")
    parser.add_argument("--checkpoints", type=Path, nargs=2, help="written already: llm_compressor, auto_round")
    args = parser.parse_args()
    demo.quiet()
    requests = [request for task in demo.TASKS for request in demo.requests(task, args.limit)]
    tokenizer = demo.load()[1]
    made: dict[str, Callable[[], Any]] = {
        SIMULATED: lambda: simulated("NVFP4"),
        "NVFP4, simulated, inputs by auto-round": lambda: simulated("NVFP4", by_library=True),
        "MXFP4, simulated": lambda: simulated("MXFP4"),
    }
    for format, folder in zip(FORMATS, args.checkpoints or map(written, FORMATS), strict=True):
        made[f"{format} checkpoint, as reloaded"] = partial(reloaded, folder, fast=False)
        made[f"{format} checkpoint, as a job"] = partial(reloaded, folder, fast=True)
    models = {name: make() for name, make in made.items()}

    def seconds(model: Any) -> float:
        started = time.process_time()
        run(ours(model, tokenizer), requests)
        return time.process_time() - started

    turns = [{name: seconds(model) for name, model in models.items()} for _ in range(args.repeat)]
    rows: list[dict[str, Cell]] = [
        {
            "model": name,
            "seconds": statistics.median(turn[name] for turn in turns),
            "× simulated NVFP4": statistics.median(turn[name] / turn[SIMULATED] for turn in turns),
        }
        for name in models
    ]
    report("reloaded", f"NVFP4, 4 tasks × {args.limit} questions", rows, [f"{args.repeat} turns"])


if __name__ == "__main__":
    main()
