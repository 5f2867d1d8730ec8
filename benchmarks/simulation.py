"""Simulated formats: auto-round's own in-memory model under lm-eval against ours, on the same requests.

    python -m benchmarks.simulation [--repeat 3] [--limit 50]

auto-round's model is what `AutoRound(..., iters=0, disable_opt_rtn=True).quantize()` returns. Rounded activations
turn a difference in the last bit, such as another batch brings, into a visible one; so the answers that differ are
counted, beside those that differ between two batch sizes of lm-eval itself.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import demo
from benchmarks.report import Cell, report
from benchmarks.scoring import Run, median, ours, run, theirs

BATCH_SIZE = 8
RAISED = ("v_proj", "down_proj")
"""Layers at the high scheme in the mixed configuration: all of them, in every block."""


def config(model: Any, mixed: bool) -> dict[str, str]:
    """Every linear layer of the blocks at MXFP4; in the mixed one, two kinds of layers at MXFP8."""
    import torch

    names = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"]
    return {name: "MXFP8" if mixed and name.endswith(RAISED) else "MXFP4" for name in names}


def auto_rounds_model(layer_config: dict[str, str]) -> tuple[Any, float]:
    """auto-round's model and the seconds it took to quantize."""
    from auto_round import AutoRound

    model, tokenizer = demo.load()
    started = time.perf_counter()
    raised = {name: scheme for name, scheme in layer_config.items() if scheme != "MXFP4"}
    rounder = AutoRound(
        model, tokenizer, scheme="MXFP4", layer_config=raised, iters=0, disable_opt_rtn=True,
        disable_model_free=True, device_map="cpu",
    )  # fmt: skip
    quantized, _ = rounder.quantize()
    return quantized, time.perf_counter() - started


def our_model(layer_config: dict[str, str]) -> tuple[Any, float]:
    """Our model and the seconds it took to quantize."""
    from qcompare.quantize.simulate import simulate

    model, _ = demo.load()
    started = time.perf_counter()
    simulate(model, layer_config)
    return model, time.perf_counter() - started


def flips(a: Run, b: Run, requests: Sequence[Any]) -> int:
    """Questions whose likeliest option (or greedy flag, for a single one) is another."""
    return sum(x != y for x, y in zip(_picks(a, requests), _picks(b, requests), strict=True))


def _picks(found: Run, requests: Sequence[Any]) -> list[object]:
    questions: dict[tuple[str, int], list[tuple[float, bool]]] = {}
    for request, score in zip(requests, found.scores, strict=True):
        questions.setdefault((request.task_name, request.doc_id), []).append(score)
    return [max(range(len(s)), key=lambda i: s[i][0]) if len(s) > 1 else s[0][1] for s in questions.values()]


def row(name: str, mixed: bool, requests: Sequence[Any], repeat: int) -> dict[str, Cell]:
    """Both models on the same requests, in turns."""
    base, tokenizer = demo.load()
    layer_config = config(base, mixed)
    reference, their_quantize = auto_rounds_model(layer_config)
    model, our_quantize = our_model(layer_config)
    pairs = [
        (run(ours(model, tokenizer), requests), run(theirs(reference, tokenizer, BATCH_SIZE), requests))
        for _ in range(repeat)
    ]
    us, them = [us for us, _ in pairs], [them for _, them in pairs]
    other_batch = run(theirs(reference, tokenizer, 2 * BATCH_SIZE), requests)
    return {
        "configuration": name,
        "requests": len(requests),
        "auto-round + lm-eval s": median(them),
        "ours s": median(us),
        "ratio": median(them) / median(us),
        "quantize: auto-round s": their_quantize,
        "quantize: ours s": our_quantize,
        "answers that differ": flips(us[0], them[0], requests),
        f"… of lm-eval at batch {BATCH_SIZE} and {2 * BATCH_SIZE}": flips(them[0], other_batch, requests),
        "questions": len({(r.task_name, r.doc_id) for r in requests}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--limit", type=int, default=50, help="questions per task")
    args = parser.parse_args()
    demo.quiet()
    requests = [request for task in demo.TASKS for request in demo.requests(task, args.limit)]
    os.chdir(tempfile.mkdtemp())  # auto-round leaves a work folder behind
    rows = []
    for name, mixed in (("uniform MXFP4", False), ("MXFP4, v_proj and down_proj MXFP8", True)):
        rows.append(row(name, mixed, requests, args.repeat))
        print(rows[-1], flush=True)
    report(
        "simulation",
        f"Simulated formats, 4 tasks × {args.limit} questions",
        rows,
        [f"scoring: medians of {args.repeat}; quantizing: once"],
    )


if __name__ == "__main__":
    main()
