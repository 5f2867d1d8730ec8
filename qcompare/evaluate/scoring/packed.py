"""Score a plan on a model with packed attention, rows side by side on the cores.

A **job** is a run of whole families (a kept prefix with everything under it) of about one row; jobs are
independent, so on a CPU each worker thread takes one with few compute threads of its own: no barriers inside
operators.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from .attention import PrefixStore, attending, packed_model
from .head import Picked, hidden_states, pick, split_model
from .memory import Budget, is_out_of_memory
from .plan import Plan
from .rows import make_row
from .sums import Scores, Sums
from .workers import Workers, run_jobs

Progress = Callable[[int], None]
SMALLEST_JOB = 192
"""Tokens below which a row is not made smaller for the sake of an even end."""


@dataclass(frozen=True)
class _Asked:
    """Everything asked of a plan, ordered by token; ``at`` numbers tokens through all blocks."""

    at: np.ndarray
    target: np.ndarray
    request: np.ndarray

    @classmethod
    def of(cls, plan: Plan, base: np.ndarray) -> "_Asked":
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
) -> Scores:
    """(log-likelihood, greedy) per request; ``progress`` is told how many more tokens have been computed.

    Raises an out-of-memory error only when a single block does not fit; UnsupportedAttention as in attention.py.
    """
    workers = workers or Workers.one()
    base = np.cumsum([0] + [len(block) for block in plan.blocks])
    asked, sums = _Asked.of(plan, base), Sums(requests)

    def run(job: range) -> None:
        _run_job(model, plan, job, base, asked, sums, budget, progress)

    with packed_model(model), split_model(model):
        run_jobs(run, _jobs(plan, base, budget.tokens, workers.count), workers)
    return sums.scores()


def _jobs(plan: Plan, base: np.ndarray, tokens: int, workers: int) -> list[range]:
    """Runs of whole families, about a row each; towards the end smaller ones, so that all workers finish together."""
    starts = [index for index, block in enumerate(plan.blocks) if block.prefix is None] + [len(plan.blocks)]
    jobs, first = [], 0
    for family, after in pairwise(starts):
        left = base[-1] - base[first]
        size = tokens if workers == 1 else min(tokens, max(SMALLEST_JOB, left // (2 * workers)))
        if family > first and base[after] - base[first] > size:
            jobs.append(range(first, family))
            first = family
    return [*jobs, range(first, len(plan.blocks))] if plan.blocks else []


def _run_job(
    model: Any,
    plan: Plan,
    job: range,
    base: np.ndarray,
    asked: _Asked,
    sums: Sums,
    budget: Budget,
    progress: Progress,
) -> None:
    """Compute a job's blocks row by row, in shorter rows after an out-of-memory."""
    first, store = job.start, PrefixStore()
    while first < job.stop:
        end = min(job.stop, _row_end(base, first, budget.tokens))
        inside = asked.within(base[first], base[end])
        try:
            picked = _run_row(
                model, plan, range(first, end), asked.at[inside] - base[first], asked.target[inside], store
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or end - first == 1:
                raise
            budget.lower(int(base[end] - base[first]))
            continue
        sums.add(asked.request[inside], picked)
        _drop_unused(plan, store, first, end)
        progress(int(base[end] - base[first]))
        first = end


def _row_end(base: np.ndarray, first: int, tokens: int) -> int:
    """One past the last block of a row that starts at ``first``: as many as fit, at least one."""
    return max(first + 1, int(np.searchsorted(base, base[first] + tokens, side="right")) - 1)


def _run_row(
    model: Any, plan: Plan, numbers: range, at: np.ndarray, targets: np.ndarray, store: PrefixStore
) -> Picked | None:
    row = make_row(plan.blocks, list(numbers), model.device)
    with attending(row, store):
        hidden = hidden_states(model, row.tokens, row.positions)[0]
    if not len(at):
        return None
    return pick(model, hidden, torch.from_numpy(at).to(hidden.device), torch.from_numpy(targets).to(hidden.device))


def _drop_unused(plan: Plan, store: PrefixStore, first: int, end: int) -> None:
    """Forget the prefixes whose last user has been computed."""
    used = {plan.blocks[number].prefix for number in range(first, end)}
    for number in used:
        if number is not None and plan.blocks[number].last_user < end:
            store.drop(number)
