"""Which results may stand in one table: only those that were measured under the same conditions."""

from collections.abc import Mapping, Sequence

from qcompare.compare.answers import Answers
from qcompare.study.result import Result
from qcompare.words import gettext

SAME_ANSWERS = frozenset({"packed", "padded", "whole", "lm_eval"})
"""Scorers that stand beside each other: which one a job takes is decided by a trial against lm-eval's own answers."""


def group_results(results: Sequence[Result], answers: Mapping[str, Answers], reference: str) -> list[list[Result]]:
    """Results that may be compared with each other, together; the group of the reference recipe first."""
    groups: list[list[Result]] = []
    for result in sorted(results, key=lambda found: found.recipe != reference):  # stable: else as they were
        home = next((group for group in groups if not set_apart(result, group[0], answers)), None)
        if home is None:
            groups.append([result])
        else:
            home.append(result)
    return groups


def set_apart(ours: Result, theirs: Result, answers: Mapping[str, Answers]) -> str:
    """What keeps two results from being compared, in words; empty when nothing does.

    Args:
        answers: by job id; where those of a job lack, its questions are taken to be those of its study.
    """
    found = [
        *_named(gettext("model revision"), ours.model.revision[:12], theirs.model.revision[:12]),
        *_tasks_apart(ours, theirs),
        *_named(gettext("start-of-text token"), ours.add_bos_token, theirs.add_bos_token),
        *_named(gettext("compute dtype"), ours.environment.dtype, theirs.environment.dtype),
    ]
    if not {ours.scorer, theirs.scorer} <= SAME_ANSWERS:
        found += _named(gettext("scorer"), ours.scorer, theirs.scorer)
    ours_put, theirs_put = answers.get(ours.job_id), answers.get(theirs.job_id)
    if not found and ours_put and theirs_put:
        if not ours_put.right.index.equals(theirs_put.right.index):
            found.append(gettext("other questions"))
        elif ours_put.prompts != theirs_put.prompts:
            found.append(gettext("questions put differently (template or few-shot examples)"))
    return gettext(", ").join(found)


def _tasks_apart(ours: Result, theirs: Result) -> list[str]:
    theirs_by_name = {score.task: score for score in theirs.tasks}
    if {score.task for score in ours.tasks} != set(theirs_by_name):
        return [gettext("other tasks")]
    found = []
    for score in ours.tasks:
        other = theirs_by_name[score.task]
        found += _named(gettext("{task}: task version", task=score.task), score.version, other.version)
        found += _named(gettext("{task}: few-shot examples", task=score.task), score.num_fewshot, other.num_fewshot)
        found += _named(gettext("{task}: data", task=score.task), score.data, other.data)
        found += _named(gettext("{task}: questions", task=score.task), score.n, other.n)
    return found


def _named(what: str, ours: object, theirs: object) -> list[str]:
    return (
        [] if ours == theirs else [gettext("{what} {ours} instead of {theirs}", what=what, ours=ours, theirs=theirs)]
    )
