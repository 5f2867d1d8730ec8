"""The second exact mode: one row per sequence in right-padded batches, logits only where they are needed.

For causal models whose attention cannot take packed rows. A token never sees what comes after it, so padding on the
right changes nothing; like lm-eval, no attention mask is given.
"""

from collections.abc import Callable
from collections.abc import Sequence as Seq
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from .head import TokenLogprobs, gather_from_logits, gather_logprobs, hidden_states, split_model
from .memory import Budget, is_out_of_memory, release_memory
from .sequences import Sequence
from .sums import Scores, Sums
from .threads import Workers, run_jobs

Progress = Callable[[int], None]


def score_padded(
    model: Any,
    sequences: Seq[Sequence],
    requests: int,
    budget: Budget,
    workers: Workers | None = None,
    progress: Progress = lambda done: None,
    split: bool = True,
) -> Scores:
    """(log-likelihood, greedy) per request. ``split`` False asks the model for all its logits (no separate head)."""
    ordered = sorted(sequences, key=lambda sequence: -len(sequence.tokens))
    sums = Sums(requests)

    def run(job: list[Sequence]) -> None:
        _run_job(model, job, sums, budget, progress, split)

    around: AbstractContextManager[None] = split_model(model) if split else nullcontext()
    with around:
        run_jobs(run, _jobs(ordered, budget.tokens), workers or Workers.one())
    return sums.scores()


def _jobs(ordered: list[Sequence], tokens: int) -> list[list[Sequence]]:
    """Consecutive sequences whose padded batch stays within ``tokens``; at least one each."""
    jobs: list[list[Sequence]] = []
    for sequence in ordered:
        if jobs and (len(jobs[-1]) + 1) * len(jobs[-1][0].tokens) <= tokens:
            jobs[-1].append(sequence)
        else:
            jobs.append([sequence])
    return jobs


def _run_job(model: Any, job: list[Sequence], sums: Sums, budget: Budget, progress: Progress, split: bool) -> None:
    todo = [job]
    while todo:
        batch = todo.pop()
        try:
            owners, found = _run_batch(model, batch, split)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(batch) == 1:
                raise
            release_memory(error)
            budget.lower(len(batch) * len(batch[0].tokens))
            todo += [batch[len(batch) // 2 :], batch[: len(batch) // 2]]
            continue
        sums.add(owners, found)
        progress(sum(len(sequence.tokens) for sequence in batch))


def _run_batch(model: Any, batch: list[Sequence], split: bool) -> tuple[np.ndarray, TokenLogprobs]:
    """Scores of one batch and the request each belongs to."""
    width = len(batch[0].tokens)
    tokens = torch.zeros(len(batch), width, dtype=torch.long)
    wanted = []
    for line, sequence in enumerate(batch):
        tokens[line, : len(sequence.tokens)] = torch.tensor(sequence.tokens)
        for one in sequence.continuations:
            start = line * width + len(sequence.tokens) - len(one.targets)
            wanted += [(start + place, target, one.request) for place, target in enumerate(one.targets)]
    at, targets, owners = torch.tensor(sorted(wanted)).unbind(1)
    tokens = tokens.to(model.device)
    if split:
        found = gather_logprobs(model, hidden_states(model, tokens).flatten(0, 1), at.numpy(), targets.numpy())
    else:
        logits = model(input_ids=tokens, use_cache=False).logits.flatten(0, 1)
        found = gather_from_logits(logits, at.to(logits.device), targets.to(logits.device))
    return owners.numpy(), found
