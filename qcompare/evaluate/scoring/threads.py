"""Independent jobs on a few worker threads, each with its share of the compute threads.

Two threads with one core each beat two cores inside every operator: small operators run side by side, nothing waits
at barriers, and another busy process slows one job instead of every operator. PyTorch releases Python's lock inside
operators.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

T = TypeVar("T")
MOST = 8


@dataclass(frozen=True)
class Workers:
    """``count`` threads side by side, with ``threads`` compute threads each."""

    count: int
    threads: int

    @classmethod
    def one(cls) -> "Workers":
        """Everything in the caller's thread, with the compute threads it has."""
        return cls(1, torch.get_num_threads())

    @classmethod
    def for_model(cls, model: Any) -> "Workers":
        """One on an accelerator; on a CPU one per compute thread, up to 8."""
        if model.device.type != "cpu":
            return cls.one()
        count = min(MOST, torch.get_num_threads())
        return cls(count, max(1, torch.get_num_threads() // count))


def run_jobs(run: Callable[[T], None], jobs: Iterable[T], workers: Workers) -> None:
    """Run every job, in order of start; the first error stops the rest and is raised."""
    jobs = list(jobs)
    if workers.count == 1 or len(jobs) < 2:
        with torch.no_grad(), compute_threads(workers.count * workers.threads):
            for job in jobs:
                run(job)
        return
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    errors: list[BaseException] = []
    with compute_threads(workers.threads):
        pool = [
            threading.Thread(target=_work, args=(run, waiting, errors, workers.threads), daemon=True)
            for _ in range(workers.count)
        ]
        for thread in pool:
            thread.start()
        try:
            for thread in pool:
                thread.join()
        except BaseException as error:  # an interrupt: let the workers stop at their next job
            errors.append(error)
            raise
    if errors:
        raise errors[0]


def _work(
    run: Callable[[T], None], waiting: "queue.SimpleQueue[T]", errors: list[BaseException], threads: int
) -> None:
    torch.set_num_threads(threads)  # MKL's and OpenMP's counts are per thread; a new thread starts with all cores
    with torch.no_grad():  # gradient mode is per thread
        while not errors:
            try:
                run(waiting.get_nowait())
            except queue.Empty:
                return
            except BaseException as error:
                errors.append(error)


@contextmanager
def compute_threads(threads: int) -> Iterator[None]:
    """Within this context operators use ``threads`` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
