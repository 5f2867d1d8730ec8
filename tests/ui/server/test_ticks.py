"""An app that is watched for a long time needs no more memory at its end: `python -m benchmarks.load` takes a day."""

import gc
import tracemalloc

import pytest
from filelock import FileLock

from qcompare.store import Store
from tests.synthetic import add_study, run_job
from tests.ui.server.conftest import Served
from tests.ui.server.ticks import tick_through

WARM, TICKS = 300, 1500
GROWTH = 100_000
"""Bytes; a leak of 100 bytes a tick would be more."""


@pytest.mark.filterwarnings("ignore")
def test_memory_stays_flat(local: Served) -> None:
    home = local.settings.home
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "supervisor.lock"):
        store = Store(home)
        job = store.jobs(add_study(store).id)[0].id
        run_job(store, job)
        sizes: list[int] = []

        def note(tick: int) -> None:
            if tick == 0:  # later it would count what takes the place of older things as growth
                tracemalloc.start()
            if tick in (WARM, TICKS - 1):
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])

        try:
            tick_through(local, store, job, TICKS, note)
        finally:
            tracemalloc.stop()
    assert sizes[1] - sizes[0] < GROWTH, sizes


def test_lost_pages_are_forgotten(local: Served) -> None:
    """Pages that ask and never come back for the answer."""
    queue, client = local.blocks._queue, local.client()
    handler = next(each for each in local.blocks.fns.values() if each.fn is not None and each.queue)
    for number in range(60):
        body = {"fn_index": handler._id, "data": [""] * len(handler.inputs), "session_hash": f"lost{number}"}
        client.post("/gradio_api/queue/join", json=body)
    assert len(queue.pending_event_ids_session) >= 50
    queue.pending_messages_per_session.clear()  # as its own limit does, in time
    queue.event_ids_to_events.clear()  # as each does that is done
    for waiting in queue.event_queue_per_concurrency_id.values():
        waiting.queue.clear()
    body["session_hash"] = "here"
    client.post("/gradio_api/queue/join", json=body)
    assert set(queue.pending_event_ids_session) == {"here"}
