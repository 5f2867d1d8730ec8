"""Paired comparison of two recipes on the same questions.

Recipes of a study answer the same questions, so most of the noise of a score (which questions were asked) cancels
in their difference. The interval is a percentile bootstrap over questions, stratified by task. To keep it from
being too narrow where only a handful of answers changed, one pseudo-question lost, one gained and two unchanged are
shared out as halves, as in the adjusted interval for paired proportions of Agresti & Min (Statistics in Medicine 24,
2005): so "not one answer changed in 25" does not read as "no difference, certain".
"""

from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qcompare.errors import QCompareError
from qcompare.study.presets import TASKS
from qcompare.study.spec import Frozen

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 10_000
SEED = 20_260
PSEUDO = (0.5, 1.0, 0.5)
"""Pseudo-questions lost, unchanged, gained, shared among the tasks."""
TYPICAL_CHANGED = 0.2
"""Share of answers that differ between two recipes, seen with 4-bit and mixed recipes: enough for a rule of thumb."""
Z95 = 1.96


class PairedDifference(Frozen):
    """How much better (positive) or worse one recipe's average is than another's on the same questions."""

    difference: float
    """Of the averages; 0.01 is one percentage point."""
    low: float
    high: float
    """Ends of the interval."""
    level: float
    """Confidence of the interval, e.g. 0.95."""
    questions: int
    lost: int
    """Questions the other had right and this one has wrong."""
    gained: int
    """Questions the other had wrong and this one has right."""

    @property
    def is_real(self) -> bool:
        """The interval excludes zero."""
        return self.low > 0 or self.high < 0


def read_answers(samples_file: Path) -> "pd.Series[float]":
    """Which questions a job got right: 1 or 0 by (leaf task, doc_id).

    Raises:
        QCompareError: the file is missing or cannot be read, or holds something else than 0 and 1.
    """
    import pandas as pd

    try:
        frame = pd.read_parquet(samples_file, columns=["task", "doc_id", "acc"])
    except (OSError, ValueError, KeyError):
        raise QCompareError(f"the answers of {samples_file.parent.parent.name} cannot be read") from None
    answers = frame.set_index(["task", "doc_id"])["acc"].astype(float).sort_index()
    if not answers.isin([0.0, 1.0]).all() or not answers.index.is_unique:
        raise QCompareError(f"the answers of {samples_file.parent.parent.name} are not one right or wrong a question")
    return answers


def paired_difference(
    ours: "pd.Series[float]", theirs: "pd.Series[float]", tasks: Sequence[str], level: float = 0.95
) -> PairedDifference:
    """Difference of two recipes' averages (ours − theirs) with an interval.

    Args:
        ours, theirs: as from `read_answers`.
        tasks: the study's tasks. A leaf task belongs to the one whose name it bears or begins with (`mmlu_anatomy` to
            `mmlu`); inside a task all questions weigh the same, as in lm-eval's mmlu.

    Raises:
        QCompareError: the two did not answer the same questions.
    """
    if not ours.index.equals(theirs.index):
        shared = len(ours.index.intersection(theirs.index))
        raise QCompareError(
            f"not the same questions ({shared} shared of {len(ours)} and {len(theirs)}): run both in one study"
        )
    changes = [
        group.to_numpy(dtype=np.float64) for _, group in (ours - theirs).groupby(_task_of(ours, tasks), sort=True)
    ]
    if not changes:
        raise QCompareError("no questions to compare: the study has no tasks")
    draws = _resample(changes)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return PairedDifference(
        difference=float(np.mean([change.mean() for change in changes])),
        low=float(low),
        high=float(high),
        level=level,
        questions=len(ours),
        lost=int(sum((change < 0).sum() for change in changes)),
        gained=int(sum((change > 0).sum() for change in changes)),
    )


def _task_of(answers: "pd.Series[float]", tasks: Sequence[str]) -> list[str]:
    leaves = answers.index.get_level_values("task")
    # Longest name first, so that a task `mmlu_pro` would not be taken for `mmlu`.
    known = sorted(tasks, key=len, reverse=True)
    group = {
        leaf: next((t for t in known if leaf == t or leaf.startswith(t + "_")), leaf) for leaf in leaves.unique()
    }
    return [group[leaf] for leaf in leaves]


def _resample(changes: Sequence[NDArray[np.floating[Any]]]) -> NDArray[np.float64]:
    """Bootstrap draws of the difference. Changes are −1, 0 or 1, so drawing n questions is one multinomial draw."""
    random = np.random.default_rng(SEED)
    pseudo = np.array(PSEUDO) / len(changes)
    total = np.zeros(RESAMPLES)
    for change in changes:
        counts = np.array([(change < 0).sum(), (change == 0).sum(), (change > 0).sum()]) + pseudo
        drawn = random.multinomial(len(change), counts / counts.sum(), size=RESAMPLES)
        total += (drawn[:, 2] - drawn[:, 0]) / len(change)
    return total / len(changes)


def visible_difference(tasks: Sequence[str], limit: int | None) -> float:
    """The smallest difference of averages that so many questions can usually show, as a share (0.04 = 4 points).

    A rule of thumb for choosing a number of questions, before anything ran: half the width of a 95 % interval when
    `TYPICAL_CHANGED` of the answers differ. No tasks: 1.
    """
    if not tasks:
        return 1.0
    variance = sum(TYPICAL_CHANGED / questions(task, limit) for task in tasks) / len(tasks) ** 2
    return Z95 * sqrt(variance)


def questions(task: str, limit: int | None) -> int:
    """Questions of a task under a limit, which counts each of its subjects."""
    info = TASKS[task]
    return info.questions if limit is None else min(limit * info.subjects, info.questions)
