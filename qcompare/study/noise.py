"""The numerical noise of a row: how much of what it answers changes when it is computed in another dtype."""

from collections.abc import Iterable
from math import ceil

from qcompare.study.frozen import Frozen
from qcompare.study.task import TASKS

QUESTIONS = 48
"""Of the sample, shared among the study's tasks."""
PASSAGES = 4
"""Of the held-out text."""


class NoiseFloor(Frozen):
    """A sample of a row's questions and passages, computed a second time with the same weights in another dtype."""

    dtype: str
    """The row's own compute dtype."""
    other_dtype: str
    """That of the second computation."""
    questions: int
    """Of the sample; 0 where the study has no questions with options or a given continuation."""
    changed: int
    """Questions for which another option is the likeliest, or the continuation is no longer or now the likeliest."""
    lost: int
    """Of the average: right in the row's own dtype, wrong in the other."""
    gained: int
    """Wrong in the row's own dtype, right in the other."""
    kl: float | None = None
    """Mean KL(own dtype ‖ other dtype) per token of the sample's passages, in nats; None without held-out text."""
    kl_stderr: float | None = None
    """Over passages; None for a single one."""
    kl_shift: float | None = None
    """How much larger KL(original ‖ row) of these passages is in the other dtype, in nats per token. The original
    stays in the row's own dtype."""
    tokens: int = 0
    """Of the sample's passages."""


def sample_limit(task: str, tasks: Iterable[str]) -> int:
    """Questions of a task in the sample; of a group, of each of its parts.

    Args:
        tasks: all that the sample is shared among.
    """
    return ceil(ceil(QUESTIONS / len(tuple(tasks))) / TASKS[task].subjects)


def is_sampled(task: str) -> bool:
    """A task whose answers are log-likelihoods of single questions, as far as its name tells."""
    return not (TASKS[task].generates or TASKS[task].rolling)
