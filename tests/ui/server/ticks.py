"""The clocks of an open page, driven without waiting: each tick is a second of a study that runs."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from qcompare.store import Store
from qcompare.study.records import Progress
from qcompare.ui import shared
from tests.ui.server.conftest import Served


class Clock:
    """Stands in for the module `time` where answers are remembered for some seconds."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        """A second later with each tick."""
        return self.now


def handlers(served: Served) -> tuple[list[Callable[..., Any]], Callable[..., Any]]:
    """Those that bring a page up to date, and the one that asks whether something has changed."""
    named = [(getattr(each.fn, "__qualname__", ""), each.fn) for each in served.blocks.fns.values()]
    follow = [fn for name, fn in named if name.startswith("_refresher.")]
    look = next(fn for name, fn in named if name.startswith("_when_changed.<locals>.look"))
    return follow, look


def tick_through(
    served: Served, store: Store, job_id: str, ticks: int, note: Callable[[int], None] = lambda tick: None
) -> None:
    """As the page of a visitor who watches a job for so many seconds.

    Args:
        note: told before each tick.
    """
    study, clock = job_id.partition(".")[0], Clock()
    follow, look = handlers(served)
    seen: list[dict[str, Any]] = [{} for _ in follow]
    stamp = ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared, "time", clock)
        for tick in range(ticks):
            note(tick)
            clock.now += 1
            if tick % 5 == 0:
                store.folder(job_id).report(
                    Progress(time=time.time(), stage="hellaswag", done=tick, total=ticks, fraction=tick / ticks)
                )
            if tick % 50 == 0:
                store.note(study, name=f"seen for {tick} seconds")
            now = look(study, job_id, stamp)
            changed = isinstance(now, str)
            stamp = now if changed else stamp
            for number, each in enumerate(follow):
                if number == 0 or changed:  # the live parts each second, the others when something has changed
                    state = each(study, job_id, seen[number])[0]
                    seen[number] = state if "__type__" not in state else seen[number]
