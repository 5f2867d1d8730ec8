"""Log-likelihoods: lm-eval's `hf` backend against ours, on the same requests and model, in turns.

    python -m benchmarks.scoring [--repeat 3] [--limit 100] [--subject-limit 20] [--only tasks|mmlu]

lm-eval gets the fixed batch size that is fastest for it on a part of the questions. Seconds are medians and include
tokenizing; ours also include keeping the scores. The fraction of the machine's peak counts the multiplications of the
linear layers for the tokens we compute, against the fastest large float32 matrix product of the same process.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import demo
from benchmarks.report import Cell, report

BATCH_SIZES = (4, 8, 16)
TASKS = [(task, 0) for task in demo.TASKS]
MMLU = [("mmlu", 0), ("mmlu", 5)]
"""Tasks and their shots."""


@dataclass(frozen=True)
class Run:
    """One way's scores of a list of requests."""

    seconds: float
    scores: list[tuple[float, bool]]
    lm: Any


def run(make: Callable[[], Any], requests: Sequence[Any]) -> Run:
    """Make an lm-eval model, score, and take the time of both."""
    started = time.perf_counter()
    lm = make()
    scores = lm.loglikelihood(requests, disable_tqdm=True)
    return Run(time.perf_counter() - started, scores, lm)


def theirs(model: Any, tokenizer: Any, batch_size: int) -> Callable[[], Any]:
    """lm-eval's own backend around a loaded model."""
    from lm_eval.models.huggingface import HFLM

    return lambda: HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)


def ours(model: Any, tokenizer: Any) -> Callable[[], Any]:
    """The scorer as a job uses it, with nothing kept yet."""
    from qcompare.evaluate.cached import CachedLM
    from qcompare.evaluate.kept import KeptScores
    from qcompare.store.cache import Rows

    def make() -> Any:
        lm = CachedLM(model, tokenizer)
        folder = Path(tempfile.mkdtemp())
        lm.scores_at = lambda tokens: KeptScores(Rows(folder / f"{tokens}.sqlite"))
        return lm

    return make


def best_batch(model: Any, tokenizer: Any, requests: Sequence[Any]) -> int:
    """The batch size with which lm-eval is fastest on every tenth question."""
    some = [request for request in requests if request.doc_id % 10 == 0]
    return min(BATCH_SIZES, key=lambda size: run(theirs(model, tokenizer, size), some).seconds)


def matmul_peak() -> float:
    """Fastest large float32 matrix product, in FLOP/s."""
    import torch

    a, best = torch.randn(2048, 2048), float("inf")
    for _ in range(8):
        started = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - started)
    return 2 * 2048**3 / best


def arithmetic(model: Any, lm: Any, requests: Sequence[Any]) -> float:
    """FLOPs of the linear layers for the tokens computed and the positions scored; attention is not counted."""
    from qcompare.evaluate.scoring.encode import encode_pairs
    from qcompare.evaluate.scoring.plan import make_plan
    from qcompare.evaluate.scoring.sequences import unique_sequences

    plan = make_plan(unique_sequences(encode_pairs(lm, [r.args for r in requests]), lm.max_length))
    head = model.get_output_embeddings().weight.numel()
    body = sum(
        p.numel() for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n
    )
    return float(2 * (lm.computed * body + len({(one.block, one.local) for one in plan.scored}) * head))


def compare(model: Any, tokenizer: Any, requests: Sequence[Any], repeat: int) -> tuple[int, list[Run], list[Run]]:
    """Both ways in turns: lm-eval's batch size, its runs, ours."""
    size = best_batch(model, tokenizer, requests)
    pairs = [
        (run(ours(model, tokenizer), requests), run(theirs(model, tokenizer, size), requests)) for _ in range(repeat)
    ]
    return size, [hf for _, hf in pairs], [us for us, _ in pairs]


def median(runs: Sequence[Run]) -> float:
    """Median seconds."""
    return statistics.median(one.seconds for one in runs)


def largest_difference(a: Run, b: Run) -> float:
    """Of the log-likelihoods of the same requests."""
    return max(abs(x[0] - y[0]) for x, y in zip(a.scores, b.scores, strict=True))


def peak_memory_gb(work: list[tuple[str, int]], limit: int) -> float:
    """Most memory of a process of its own that does all our work and nothing else."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_of_ours, (work, limit))


def _peak_of_ours(work: list[tuple[str, int]], limit: int) -> float:
    from qcompare.models.environment import peak_memory_bytes

    demo.quiet()
    model, tokenizer = demo.load()
    for task, shots in work:
        run(ours(model, tokenizer), demo.requests(task, limit, shots))
    return peak_memory_bytes("cpu") / 1e9


def row(model: Any, tokenizer: Any, task: str, shots: int, limit: int, repeat: int) -> dict[str, Cell]:
    """One task, both ways."""
    requests = demo.requests(task, limit, shots)
    size, hf, us = compare(model, tokenizer, requests, repeat)
    return {
        "task": f"{task}, {shots}-shot" if task == "mmlu" else task,
        "requests": len(requests),
        "lm-eval s": median(hf),
        "(batch)": size,
        "ours s": median(us),
        "ratio": median(hf) / median(us),
        "tokens computed": us[0].lm.computed,
        "one row a request": us[0].lm.naive,
        "GFLOP/s": arithmetic(model, us[0].lm, requests) / median(us) / 1e9,
        "largest difference": largest_difference(hf[0], us[0]),
        "same greedy flags": all(a[1] == b[1] for a, b in zip(hf[0].scores, us[0].scores, strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--limit", type=int, default=100, help="questions per task")
    parser.add_argument("--subject-limit", type=int, default=20, help="questions a subject of mmlu")
    parser.add_argument("--only", choices=["tasks", "mmlu"], help="one of the two tables")
    args = parser.parse_args()
    demo.quiet()
    model, tokenizer = demo.load()
    run(ours(model, tokenizer), demo.requests("piqa", 8))  # what only a first run pays
    for name, work, limit in [("tasks", TASKS, args.limit), ("mmlu", MMLU, args.subject_limit)]:
        if args.only in (None, name):
            peak, rows = matmul_peak(), []
            for task, shots in work:
                rows.append(row(model, tokenizer, task, shots, limit, args.repeat))
                print(rows[-1], flush=True)
                peak = max(peak, matmul_peak())
            rows += [_sum(rows)] if name == "tasks" else []
            for one in rows:
                one["% of matmul peak"] = 100e9 * float(one["GFLOP/s"] or 0) / peak
            notes = [
                f"medians of {args.repeat}; largest matmul peak between the tasks: {peak / 1e9:.0f} GFLOP/s",
                f"peak memory of a process that does all of our side: {peak_memory_gb(work, limit):.2f} GB",
            ]
            title = f"Scoring, BF16 row in float32, {limit} questions a {'task' if name == 'tasks' else 'subject'}"
            report(f"scoring --only {name}", title, rows, notes)


def _sum(rows: Sequence[dict[str, Cell]]) -> dict[str, Cell]:
    total = {
        key: sum(float(row[key] or 0) for row in rows) for key in rows[0] if isinstance(rows[0][key], int | float)
    }
    work = sum(float(row["GFLOP/s"] or 0) * float(row["ours s"] or 0) for row in rows)
    return {
        **total,
        "task": "**the four together**",
        "requests": int(total["requests"]),
        "(batch)": None,
        "ratio": total["lm-eval s"] / total["ours s"],
        "tokens computed": int(total["tokens computed"]),
        "one row a request": int(total["one row a request"]),
        "GFLOP/s": work / total["ours s"],
        "largest difference": max(float(row["largest difference"] or 0) for row in rows),
        "same greedy flags": all(row["same greedy flags"] for row in rows),
    }


if __name__ == "__main__":
    main()
