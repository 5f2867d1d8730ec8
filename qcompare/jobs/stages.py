"""The progress of a job: its stage, how far that is, and how long each stage took."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from qcompare.store import JobFolder
from qcompare.study.records import Progress
from qcompare.study.stage import Stage

MIN_SECONDS_BETWEEN_EVENTS = 0.25

SHOWN_AT_MOST = 0.99
"""Of the bar, before the result is published."""


class Stages:
    """Reports a job's stages to its events file."""

    def __init__(self, folder: JobFolder, weights: Mapping[str, float]) -> None:
        """`weights`: expected seconds by stage or task, as in `Cost.stages`; only ratios matter, for the bar."""
        self._folder = folder
        self._weights = weights
        self._seconds: dict[str, float] = {}
        self._before = weights.get(Stage.STARTING, 0.0)
        self._began = self._last_event = 0.0

    @contextmanager
    def stage(self, stage: Stage, task: str | None = None) -> Iterator[Callable[[int, int], None]]:
        """Enter a stage; yields a function to call with (steps done, steps in all).

        Args:
            task: the task that is evaluated in it.
        """
        name = task or stage
        started = time.perf_counter()
        self._began = time.time()
        print(f"== {name}", flush=True)
        self._report(stage, task, 0, 0, force=True)
        yield lambda done, total: self._report(stage, task, done, total)
        self._before += self._weights.get(name, 0.0)
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - started

    def seconds(self) -> dict[str, float]:
        """Seconds by stage or task, in order."""
        return dict(self._seconds)

    def finished(self) -> None:
        """The result is published."""
        self._folder.report(Progress(time=time.time(), stage=Stage.DONE, fraction=1.0))

    def _report(self, stage: Stage, task: str | None, done: int, total: int, force: bool = False) -> None:
        now = time.time()
        if not force and now - self._last_event < MIN_SECONDS_BETWEEN_EVENTS and done < total:
            return
        self._last_event = now
        part = self._weights.get(task or stage, 0.0) * (done / total if total else 0.0)
        fraction = min(SHOWN_AT_MOST, (self._before + part) / (sum(self._weights.values()) or 1.0))
        self._folder.report(
            Progress(
                time=now,
                stage_began=self._began,
                stage=stage,
                task=task,
                done=done,
                total=total,
                fraction=fraction,
            )
        )
