"""The clocks of an open page, driven without waiting: each tick is a second of a study that runs."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.requests import Request

from qcompare.store import Store
from qcompare.study.records import Progress
from qcompare.ui import shared
from qcompare.ui.updates import updates_routes
from tests.ui.server.conftest import Served


class Clock:
    """Stands in for the module `time` where answers are remembered for some seconds."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        """A second later with each tick."""
        return self.now


def page_of(served: Served) -> tuple[list[Callable[..., Any]], Callable[[dict[str, str]], Any]]:
    """The handlers that bring a page up to date, and what asks for updates."""
    follow = [each.fn for each in served.blocks.fns.values() if _name(each) == "_follow.<locals>.follow"]
    [route] = updates_routes(served.blocks.store, served.blocks.panels)

    def updates(asked: dict[str, str]) -> Any:
        scope = {"type": "http", "headers": [], "query_string": urlencode(asked).encode()}
        return json.loads(route.endpoint(Request(scope)).body)

    return follow, updates


def _name(handler: Any) -> str:
    return str(getattr(handler.fn, "__qualname__", ""))


def tick_through(
    served: Served, store: Store, job_id: str, ticks: int, note: Callable[[int], None] = lambda tick: None
) -> None:
    """As the page of a visitor who watches a job for so many seconds.

    Args:
        note: told before each tick.
    """
    study, clock = job_id.partition(".")[0], Clock()
    follow, updates = page_of(served)
    seen: list[dict[str, Any]] = [{} for _ in follow]
    versions = {panel.name: "" for panel in served.blocks.panels if panel.live}
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
            found = updates({"study": study, "job": job_id, **versions})
            versions |= {name: drawn["version"] for name, drawn in found["live"].items()}
            if found["stamp"] == stamp:
                continue
            stamp = found["stamp"]
            for number, each in enumerate(follow):
                state = each(study, job_id, seen[number])[0]
                seen[number] = state if "__type__" not in state else seen[number]
