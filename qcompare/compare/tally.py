"""How two recipes' answers to the same questions differ, counted task by task."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qcompare.compare.answers import Answers
from qcompare.compare.resampling import Counts
from qcompare.errors import QCompareError


def tally(ours: Answers, theirs: Answers, tasks: Sequence[str]) -> dict[str, Counts]:
    """By task: questions right in both, lost, gained, wrong in both.

    Args:
        tasks: the study's tasks. Where the answers do not say it, a leaf task belongs to the one whose name it has
            or begins with (`mmlu_anatomy` to `mmlu`).

    Raises:
        QCompareError: the two did not answer the same questions.
    """
    _check_same(ours, theirs)
    cells = (3 - 2 * theirs.right.to_numpy() - ours.right.to_numpy()).astype(np.int64)  # 0 both, 1 lost, 2 gained
    leaves = [str(leaf) for leaf in ours.right.index.levels[0]]  # type: ignore[attr-defined]
    codes: NDArray[np.int64] = np.asarray(ours.right.index.codes[0], np.int64)  # type: ignore[attr-defined]
    counted = np.bincount(4 * codes + cells, minlength=4 * len(leaves)).reshape(-1, 4)
    found: dict[str, NDArray[np.int64]] = {}
    known = [ours.tasks.get(leaf) for leaf in leaves]
    by_name = _tasks_of(leaves, tasks)
    for named, guessed, count in zip(known, by_name, counted, strict=True):
        task = named or guessed
        if count.any():
            found[task] = found.get(task, 0) + count
    return {task: _counts(found[task]) for task in sorted(found)}


def _counts(count: NDArray[np.int64]) -> Counts:
    both, lost, gained, neither = (int(number) for number in count)
    return both, lost, gained, neither


def _check_same(ours: Answers, theirs: Answers) -> None:
    if not ours.right.index.equals(theirs.right.index):
        shared = len(ours.right.index.intersection(theirs.right.index))
        raise QCompareError(
            "not the same questions ({shared} shared of {ours} and {theirs}): run both in one study",
            shared=shared,
            ours=len(ours.right),
            theirs=len(theirs.right),
        )
    if ours.prompts != theirs.prompts:
        raise QCompareError("the same questions were put differently (template or examples): run both in one study")
    if not len(ours.right):
        raise QCompareError("no questions to compare: the study has no tasks")


def _tasks_of(leaves: Sequence[str], tasks: Sequence[str]) -> list[str]:
    """The study's task of each leaf. Longest name first, so that `mmlu_pro_x` would not be taken for `mmlu`."""
    known = sorted(tasks, key=len, reverse=True)
    return [next((task for task in known if leaf == task or leaf.startswith(task + "_")), leaf) for leaf in leaves]
