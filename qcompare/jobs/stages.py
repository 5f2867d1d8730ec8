"""A job's progress: which stage it is in, how far that is, and how long each took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qcompare.store import JobFolder
from qcompare.study.presets import TASKS
from qcompare.study.records import Progress
from qcompare.study.spec import Study

MIN_SECONDS_BETWEEN_EVENTS = 0.25

WEIGHTS = {
    "fetching the model": 5.0,
    "loading the model": 4.0,
    "reading held-out text": 5.0,
    "comparing predictions": 10.0,
    "answering prompts": 10.0,
}
"""Rough seconds of a stage on the demo model; only their ratios matter, for the bar."""
QUANTIZE_WEIGHT = 10.0
SCORE_LAYERS_WEIGHT = 130.0
CHOOSE_WEIGHT = 0.5
QUESTION_WEIGHT = {"lambada_openai": 0.15, "hellaswag": 0.8, "piqa": 0.25, "winogrande": 0.15, "mmlu": 0.3}


class Stages:
    """Reports a job's stages to its events file."""

    def __init__(self, folder: JobFolder, recipe: str, study: Study) -> None:
        self._folder = folder
        self._weights = stage_weights(recipe, study)
        self._seconds: dict[str, float] = {}
        self._before = 0.0
        self._last_event = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """Enter a stage; yields a function that is told (steps done, steps in all)."""
        started = time.perf_counter()
        print(f"== {name}", flush=True)
        self._report(name, 0, 0, force=True)
        yield lambda done, total: self._report(name, done, total)
        self._before += self._weights.get(name, 0.0)
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - started

    def seconds(self) -> dict[str, float]:
        """Seconds each stage took, in order."""
        return dict(self._seconds)

    def finished(self) -> None:
        """The result is published."""
        self._folder.report(Progress(time=time.time(), stage="done", fraction=1.0))

    def _report(self, name: str, done: int, total: int, force: bool = False) -> None:
        now = time.time()
        if not force and now - self._last_event < MIN_SECONDS_BETWEEN_EVENTS and done < total:
            return
        self._last_event = now
        part = self._weights.get(name, 0.0) * (done / total if total else 0.0)
        fraction = min(0.99, (self._before + part) / sum(self._weights.values()))
        self._folder.report(Progress(time=now, stage=name, done=done, total=total, fraction=fraction))


def stage_weights(recipe: str, study: Study) -> dict[str, float]:
    """Stage → rough share of a job's time."""
    weights = dict(WEIGHTS)
    weights["choosing layers"] = SCORE_LAYERS_WEIGHT if recipe == "mixed" else CHOOSE_WEIGHT
    if recipe != "bf16":
        weights["quantizing layers"] = QUANTIZE_WEIGHT
    for task in study.tasks:
        info = TASKS[task]
        questions = info.questions if study.limit is None else study.limit * info.subjects
        weights[task] = QUESTION_WEIGHT.get(task, 0.3) * min(questions, info.questions)
    return weights
