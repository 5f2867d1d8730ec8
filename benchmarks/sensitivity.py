"""Sensitivity scores for the mixed recipe: auto-round's scoring alone against the same in a job of ours.

    python -m benchmarks.sensitivity

The demo study's schemes and calibration text; each way in a process of its own, so that peaks of memory are its own.
"""

import resource
import tempfile
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks import demo
from benchmarks.report import Cell, report
from qcompare.models import sources
from qcompare.recipes import autoscheme
from qcompare.recipes.allocate import allocate
from qcompare.recipes.groups import layer_groups
from qcompare.recipes.lab import Lab
from qcompare.recipes.mixed import Mixed
from qcompare.settings import Settings
from qcompare.study.layers import LayerLosses
from qcompare.study.spec import Study


@dataclass(frozen=True)
class Scored:
    """One way's losses and what they took."""

    losses: LayerLosses
    seconds: float
    peak_bytes: int


class AsShipped(Lab):
    """A lab that leaves memory to the C library, as auto-round does."""

    def load(self) -> tuple[Any, Any]:
        """As a script loads a model."""
        return sources.load(self.local, self.device, self.dtype, self.settings, self.study.hub_kernels)

    load_to_score = load


def score(ours: bool) -> Scored:
    """Score the demo model's layers in float32, in a fresh process: as a job does, or as auto-round alone."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        settings = Settings(home=Path(folder), bundle_dir=Settings().demo_dir, offline=True)
        lab = (Lab if ours else AsShipped)(*(Study(), Mixed(), 5.0, settings, "cpu", "float32", settings.home))
        lab.fetch()
        if not ours:
            stack.enter_context(patch.object(autoscheme, "our_roundings", nullcontext))
        started = time.perf_counter()
        losses = lab.autoscheme_scores()
        seconds = time.perf_counter() - started
    return Scored(losses, seconds, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def another_budget(losses: LayerLosses) -> float:
    """Seconds to choose layers for one more budget from scores that are there."""
    study = Study()
    groups = layer_groups(sources.describe(study.model, Settings()).layers, study.shared_layers)
    started = time.perf_counter()
    allocate(groups, study.schemes, losses, 6.0, study.ignore_scale_zp_bits)
    return time.perf_counter() - started


NOTES = ("no pass serves both schemes: each scheme's gradients are those of the model rounded in that scheme",)


def main() -> None:
    demo.bundle()
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        theirs, ours = pool.map(score, [False, True], chunksize=1)
    differ = [
        abs(loss - ours.losses[scheme][name]) for scheme, by in theirs.losses.items() for name, loss in by.items()
    ]
    row: dict[str, Cell] = {
        "layers × schemes": len(differ),
        "auto-round s": theirs.seconds,
        "as a job of ours s": ours.seconds,
        "ratio": theirs.seconds / ours.seconds,
        "a second budget s": another_budget(ours.losses),
        "peak GB": theirs.peak_bytes / 1e9,
        "ours, peak GB": ours.peak_bytes / 1e9,
        "largest difference of a score": max(differ),
    }
    report("sensitivity", "Sensitivity scores of the demo model (MXFP4 and MXFP8, 16 × 256 tokens)", [row], NOTES)


if __name__ == "__main__":
    main()
