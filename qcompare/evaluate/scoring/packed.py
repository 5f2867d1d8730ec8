"""Score a plan on a model with packed attention, rows side by side on the cores.

A **job** is a run of blocks, which computes the prefixes it needs itself; jobs are independent, so on a CPU each
worker thread takes one of about a row with few compute threads of its own: no barriers inside operators.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .attention import PrefixStore, attend_row, packed_model, serving
from .head import TokenLogprobs, gather_logprobs, hidden_states, split_model
from .memory import Budget, is_out_of_memory, release_memory
from .plan import Plan
from .rows import make_row
from .sums import Scores, Sums
from .threads import Workers, run_jobs

Progress = Callable[[int], None]
SMALLEST_JOB = 192
"""Tokens below which a row is not made smaller for the sake of an even end."""


@dataclass(frozen=True)
class _Targets:
    """Every prediction that a plan needs, ordered by token; ``at`` numbers tokens through all blocks."""

    at: np.ndarray
    target: np.ndarray
    request: np.ndarray

    @classmethod
    def of(cls, plan: Plan, base: np.ndarray) -> "_Targets":
        rows = np.array(
            [(base[one.block] + one.local, one.target, one.request) for one in plan.scored], dtype=np.int64
        )
        rows = rows.reshape(-1, 3)
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        return cls(rows[:, 0], rows[:, 1], rows[:, 2])

    def within(self, first: int, end: int) -> slice:
        low, high = np.searchsorted(self.at, [first, end])
        return slice(int(low), int(high))


def score_plan(
    model: Any,
    plan: Plan,
    requests: int,
    budget: Budget,
    workers: Workers | None = None,
    progress: Progress = lambda done: None,
    whole_rows: bool = False,
) -> Scores:
    """(log-likelihood, greedy) per request; ``progress`` is called with how many more tokens have been computed.

    Args:
        whole_rows: attend to a row in one call, as the model's trial found to be right (``ModeChoice``).

    Raises an out-of-memory error only when a single block does not fit; UnsupportedAttention as in attention.py.
    """
    workers = workers or Workers.one()
    base = np.cumsum([0] + [len(block) for block in plan.blocks])
    targets, sums = _Targets.of(plan, base), Sums(requests)

    def run(job: range) -> None:
        _run_job(model, plan, job, base, targets, sums, budget, progress, whole_rows)

    with packed_model(model), split_model(model):
        run_jobs(run, _jobs(plan, base, budget.tokens, workers.count), workers)
    return sums.scores()


def _jobs(plan: Plan, base: np.ndarray, tokens: int, workers: int) -> list[range]:
    """One run of all blocks for a single worker. For several, runs of about a row each; towards the end smaller ones,
    so that all workers finish together.

    A family is cut, and its prefix computed again, where that costs at most an eighth of the job or where one worker
    would otherwise have more than its share.
    """
    if workers == 1:
        return [range(len(plan.blocks))] if plan.blocks else []
    jobs, first, share = [], 0, base[-1] / workers
    for number, block in enumerate(plan.blocks):
        left = base[-1] - base[first]
        size = min(tokens, max(SMALLEST_JOB, left // (2 * workers)))
        held, full = base[number] - base[first], base[number + 1] - base[first] > size
        if number > first and full and (8 * block.depth <= held or held >= share):
            jobs.append(range(first, number))
            first = number
    return [*jobs, range(first, len(plan.blocks))] if plan.blocks else []


def _run_job(
    model: Any,
    plan: Plan,
    job: range,
    base: np.ndarray,
    targets: _Targets,
    sums: Sums,
    budget: Budget,
    progress: Progress,
    whole_rows: bool,
) -> None:
    """Compute a job's blocks row by row, in shorter rows after an out-of-memory.

    A row's scores are read when the next row has been handed to the device: a GPU always has work.
    """
    first, store = job.start, PrefixStore()
    unread: list[tuple[np.ndarray, TokenLogprobs | None, int]] = []

    def read() -> None:
        for requests, found, tokens in unread:
            sums.add(requests, found)
            progress(tokens)
        unread.clear()

    while first < job.stop:
        end = min(job.stop, _row_end(base, first, budget.tokens))
        inside = targets.within(base[first], base[end])
        numbers = [*_missing(plan, first, end, store), *range(first, end)]
        offset = sum(len(plan.blocks[number]) for number in numbers[: first - end])
        try:
            row = make_row(plan.blocks, numbers, model.device)
            with serving(attend_row(row, store, whole_rows)):
                hidden = hidden_states(model, row.tokens, row.positions)[0]
            at = targets.at[inside] - base[first] + offset
            found = gather_logprobs(model, hidden, at, targets.target[inside]) if len(at) else None
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or end - first == 1:
                raise
            store.drop(numbers)  # the layers after the failed one have no keys and values of these blocks
            release_memory(error)
            budget.lower(int(base[end] - base[first]))
            continue
        read()
        unread.append((targets.request[inside], found, int(base[end] - base[first])))
        _drop_unused(plan, store, numbers, end)
        first = end
    read()


def _missing(plan: Plan, first: int, end: int, store: PrefixStore) -> list[int]:
    """Prefixes that blocks [first, end) need from an earlier job, their own prefixes before them."""
    needed: set[int] = set()
    for number in range(first, end):
        prefix = plan.blocks[number].prefix
        while prefix is not None and prefix < first and prefix not in store:
            needed.add(prefix)
            prefix = plan.blocks[prefix].prefix
    return sorted(needed)


def _row_end(base: np.ndarray, first: int, tokens: int) -> int:
    """One past the last block of a row that starts at ``first``: as many as fit, at least one."""
    return max(first + 1, int(np.searchsorted(base, base[first] + tokens, side="right")) - 1)


def _drop_unused(plan: Plan, store: PrefixStore, numbers: list[int], end: int) -> None:
    """Forget the prefixes whose last user has been computed."""
    prefixes = {prefix for number in numbers if (prefix := plan.blocks[number].prefix) is not None}
    store.drop(prefix for prefix in prefixes if plan.blocks[prefix].last_user < end)
