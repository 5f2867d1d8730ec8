"""Generated answers: lm-eval's `hf` backend against ours, on gsm8k's questions and the same model.

    python -m benchmarks.generation [--limit 32] [--most 256] [--batch-sizes 8 16]

Five worked examples before each question, answers of at most `--most` tokens, greedy. lm-eval answers all questions
with each batch size; the fastest counts. Seconds include tokenizing; ours also include keeping the answers.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import demo
from benchmarks.report import Cell, report

SHOTS = 5
BATCH_SIZE = 16
"""Ours: the default of a study."""


@dataclass(frozen=True)
class Run:
    """One way's answers to all questions."""

    way: str
    seconds: float
    cpu_seconds: float
    texts: list[str]


def run(way: str, make: Callable[[], Any], requests: list[Any]) -> Run:
    """Make an lm-eval model, let it answer, and take the time of both."""
    started, used = time.perf_counter(), time.process_time()
    texts = make().generate_until(requests, disable_tqdm=True)
    found = Run(way, time.perf_counter() - started, time.process_time() - used, texts)
    print(f"{way}: {found.seconds:.0f} s", flush=True)
    return found


def theirs(model: Any, tokenizer: Any, batch_size: int) -> Callable[[], Any]:
    """lm-eval's own backend around a loaded model."""
    from lm_eval.models.huggingface import HFLM

    return lambda: HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)


def ours(model: Any, tokenizer: Any) -> Callable[[], Any]:
    """The model as a job uses it, with nothing kept yet."""
    from qcompare.evaluate.cached import CachedLM
    from qcompare.evaluate.kept import KeptAnswers
    from qcompare.store.cache import Rows

    def make() -> Any:
        lm = CachedLM(model, tokenizer, batch_size=BATCH_SIZE)
        folder = Path(tempfile.mkdtemp())
        lm.answers_at = lambda batch: KeptAnswers(Rows(folder / f"{batch}.sqlite"))
        return lm

    return make


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=32, help="questions")
    parser.add_argument("--most", type=int, default=256, help="tokens of an answer")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 16], help="lm-eval's")
    args = parser.parse_args()
    demo.quiet()
    model, tokenizer = demo.load()
    requests = demo.requests("gsm8k", args.limit, SHOTS)
    for request in requests:
        request.arguments[1]["max_gen_toks"] = args.most
    us = run("qcompare", ours(model, tokenizer), requests)
    hf = [run(f"lm-eval, batches of {n}", theirs(model, tokenizer, n), requests) for n in args.batch_sizes]
    best = min(hf, key=lambda one: one.seconds)
    rows: list[dict[str, Cell]] = [
        {
            "way": one.way,
            "s": one.seconds,
            "CPU s": one.cpu_seconds,
            "same answers as ours": sum(a == b for a, b in zip(one.texts, us.texts, strict=True)),
            "ratio": one.seconds / us.seconds,
            "ratio of CPU s": one.cpu_seconds / us.cpu_seconds,
        }
        for one in (us, *hf)
    ]
    notes = [f"ratio to lm-eval's fastest batch size: {best.seconds / us.seconds:.2f}"]
    title = f"Generated answers, BF16 row in float32, gsm8k, {args.limit} questions, {args.most} tokens at most"
    report("generation", title, rows, notes)


if __name__ == "__main__":
    main()
