"""Which questions a job got right, as kept beside its result."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qcompare.errors import QCompareError
from qcompare.store import Store
from qcompare.study.result import Result
from qcompare.study.samples import read_scores
from qcompare.words import Message

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Answers:
    """The answers of one job."""

    right: "pd.Series[float]"
    """1 or 0 by (leaf task, doc_id), sorted."""
    prompts: str = ""
    """Digest of all questions as they were put: few-shot examples and template included."""
    tasks: Mapping[str, str] = field(default_factory=dict)
    """Leaf task → the study's task; lacks those of version 0.1."""
    scores: "pd.Series[float] | None" = None
    """Of questions that are not right or wrong: a score by (leaf task, doc_id), higher is better."""


def read_answers(samples_file: Path, metrics: Sequence[str] = ()) -> Answers:
    """Read which questions a job got right.

    Args:
        metrics: the study's tasks whose questions are not right or wrong.

    Raises:
        QCompareError: the file is missing or cannot be read, or holds something else than 0 and 1.
    """
    import pandas as pd

    samples = read_scores(samples_file)
    whole, of_task = samples.acc, samples.study_task
    is_metric = of_task.isin([*metrics])
    right = whole[~is_metric] if metrics else whole
    if len(right) < len(whole):
        right.index = right.index.remove_unused_levels()  # type: ignore[attr-defined]
    if not right.isin([0.0, 1.0]).all() or not right.index.is_unique:
        job = samples_file.parent.parent.name
        raise QCompareError("the answers of {job} are not one right or wrong a question", job=job)
    hashes = pd.util.hash_pandas_object(samples.prompt_hash, index=False)
    leaves = of_task[of_task != ""].groupby(level=0).first().to_dict()
    prompts = hashlib.sha256(hashes.to_numpy().tobytes()).hexdigest()
    return Answers(right, prompts, {str(leaf): task for leaf, task in leaves.items()}, whole[is_metric])


def read_all_answers(store: Store, results: Sequence[Result]) -> tuple[dict[str, Answers], dict[str, Message]]:
    """By job id: its answers, and for those that cannot be read, why."""
    answers: dict[str, Answers] = {}
    unreadable: dict[str, Message] = {}
    for result in results:
        if not result.tasks:
            continue
        try:
            metrics = [score.task for score in result.tasks if not score.averaged]
            found = read_answers(store.folder(result.job_id).samples_file, metrics)
            answers[result.job_id] = _sharing(found, next(iter(answers.values()), found))
        except QCompareError as error:
            unreadable[result.job_id] = error.message
    return answers, unreadable


def _sharing(found: Answers, first: Answers) -> Answers:
    """The same answers; with the index of others where it is equal, so that they compare at a glance."""
    if found.right.index.equals(first.right.index):
        found.right.index = first.right.index
    return found
