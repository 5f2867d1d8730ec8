"""Which layers get which scheme: allocators at equal bits, by KL divergence on text that none of them saw.

    python -m benchmarks.allocation [--schemes MXFP4,MXFP8] [--budgets 4.5,5,6] [--allocators mixed,best,…]
        [--accuracy 500] [--home FOLDER]

The demo model in float32. Layers are scored, configs compared and allocators tested on three texts apart, all CoQA
stories of the demo bundle: 16 × 256 tokens of calibration text, the 8 × 256 after them, and 16 × 256 held-out ones,
which nothing but the test sees. Seconds are of the processor (all threads together) for scoring and choosing; what an
allocator keeps serves its later budgets, so the first one has all of the scoring in it.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks import demo
from benchmarks.report import Cell, report
from benchmarks.scoring import ours
from qcompare.evaluate.benchmarks import Options, TaskRequest, run_task
from qcompare.evaluate.divergence import divergence, reference_states
from qcompare.evaluate.held_out import passages
from qcompare.formats.bits import count
from qcompare.quantize.simulate import simulate
from qcompare.recipes.base import Recipe
from qcompare.recipes.best import Best
from qcompare.recipes.edges import Head, Tail
from qcompare.recipes.lab import Lab
from qcompare.recipes.mixed import Mixed
from qcompare.recipes.uniform import Uniform
from qcompare.settings import Settings
from qcompare.study.layers import LayerConfig
from qcompare.study.spec import HeldOut, Study

ALLOCATORS: dict[str, Recipe] = {
    "uniform": Uniform(),
    "head": Head(),
    "tail": Tail(),
    "data_free": Best(scores="data_free", effort="scores"),
    "signed_gradient": Best(scores="signed_gradient", effort="scores"),
    "mixed": Mixed(),
    "lowering": Best(scores="lowering", effort="scores"),
    "quick": Best(effort="quick"),
    "kl_fisher": Best(effort="scores"),
    "best": Best(),
}
USUAL = ("uniform", "head", "tail", "data_free", "signed_gradient", "mixed", "quick", "kl_fisher", "best")
"""`lowering` takes many minutes."""


class CountingLab(Lab):
    """Counts the tokens that pass forward through its models."""

    tokens = 0

    def load(self) -> tuple[Any, Any]:
        model, tokenizer = super().load()
        model.get_input_embeddings().register_forward_hook(self._count)
        return model, tokenizer

    def _count(self, module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        self.tokens += inputs[0].numel()


def choose(lab: CountingLab) -> tuple[LayerConfig, float]:
    """A row's layer config and the processor seconds that it took."""
    lab.fetch()
    started = time.process_time()
    config = lab.recipe.choose(lab)
    lab.__dict__.pop("bench", None)  # its model
    return config, time.process_time() - started


def rows(
    schemes: tuple[str, ...],
    budgets: list[float],
    allocators: list[str],
    settings: Settings,
    limit: int,
) -> Iterator[dict[str, Cell]]:
    """One row for each budget and allocator."""
    model, tokenizer = demo.load()
    text = passages(HeldOut(), tokenizer, settings, print)
    states = reference_states(model, text)
    study = Study(model="demo", schemes=schemes, recipes=("best",))  # so that it does not look at mixed's choice
    for budget in budgets:
        right: dict[str, list[float]] = {}
        for name in allocators:
            lab = CountingLab(study, ALLOCATORS[name], budget, settings, "cpu", "float32", settings.home)
            config, seconds = choose(lab)
            model, _ = demo.load()
            simulate(model, config)
            found = divergence(model, states, text)
            answered: dict[str, Cell] = {}
            if limit:
                right[name] = answers(config, limit)
                answered = accuracy(right[name], right.get("mixed", right[name]))
            predicted = lab.choice.predicted_kl if lab.choice else None
            row: dict[str, Cell] = {
                "schemes": "/".join(schemes),
                "bits": f"{count(lab.facts.layers, config, budget).achieved:.3f}",
                "allocator": name,
                "test KL": f"{found.kl:.4f} ± {found.kl_stderr:.4f}",
                "top-1": f"{found.top1_agreement:.3f}",
                "perplexity": found.perplexity,
                "predicted KL": None if predicted is None else f"{predicted:.4f}",
                "CPU s": seconds,
                "tokens forward": lab.tokens,
            }
            yield row | answered


def answers(config: LayerConfig, limit: int) -> list[float]:
    """1 or 0 for each question of the four tasks."""
    model, tokenizer = demo.load()
    simulate(model, config)
    tasks, options = demo.tasks(), Options(limit=limit, batch_size=16, add_bos_token=False, seed=demo.SEED)
    lm = ours(model, tokenizer)()
    found = [run_task(lm, TaskRequest(task, tasks.data[task], 0), tasks.manager, options)[1] for task in demo.TASKS]
    return [float(sample.acc or 0) for samples in found for sample in samples]


def accuracy(right: list[float], reference: list[float]) -> dict[str, Cell]:
    """Percent right, and the paired difference to a reference with its standard error."""
    differences = [100 * (one - other) for one, other in zip(right, reference, strict=True)]
    return {
        f"% right of {len(right)}": f"{100 * mean(right):.2f}",
        "paired to mixed": f"{mean(differences):+.2f} ± {stdev(differences) / sqrt(len(differences)):.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schemes", default="MXFP4,MXFP8", help="low first")
    parser.add_argument("--budgets", default="4.5,5,6")
    parser.add_argument("--allocators", default=",".join(USUAL))
    parser.add_argument("--accuracy", type=int, default=0, help="questions per task; 0 leaves it out")
    parser.add_argument("--home", type=Path, help="keeps scores for a later run, whose seconds then mean nothing")
    args = parser.parse_args()
    demo.quiet()
    home = args.home or Path(tempfile.mkdtemp())
    settings = Settings(home=home, bundle_dir=Settings().demo_dir, dtype="float32", offline=True)
    home.mkdir(parents=True, exist_ok=True)
    schemes = tuple(args.schemes.split(","))
    found = []
    for row in rows(
        schemes,
        [float(each) for each in args.budgets.split(",")],
        args.allocators.split(","),
        settings,
        args.accuracy,
    ):
        found.append(row)
        print(row, flush=True)
    name = f"allocation --schemes {args.schemes} --budgets {args.budgets}"
    report(name, f"Allocators at equal bits, {' and '.join(schemes)}, float32", found, NOTES)


NOTES = ("texts to score on, to compare configs on and to test on are apart; the test text was looked at once",)


if __name__ == "__main__":
    main()
