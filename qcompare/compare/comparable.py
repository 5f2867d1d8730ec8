"""Which results may stand in one table: only those that were measured under the same conditions."""

from collections.abc import Iterator, Mapping, Sequence

from qcompare.compare.answers import Answers
from qcompare.study.recipe import is_baseline
from qcompare.study.result import Result
from qcompare.words import Message, joined

SAME_ANSWERS = frozenset({"packed", "padded", "whole", "lm_eval", "endpoint"})
"""Scorers that stand beside each other: which one a job takes is decided by a trial against lm-eval's own answers, or
the question is what a server answers to the same tokens."""


def group_results(results: Sequence[Result], answers: Mapping[str, Answers]) -> list[list[Result]]:
    """Results that may be compared with each other, together; the group of the baseline first."""
    groups: list[list[Result]] = []
    for result in sorted(results, key=lambda found: not is_baseline(found.recipe)):  # stable: else as they were
        home = next((group for group in groups if not set_apart(result, group[0], answers)), None)
        if home is None:
            groups.append([result])
        else:
            home.append(result)
    return groups


def set_apart(ours: Result, theirs: Result, answers: Mapping[str, Answers]) -> Message:
    """What keeps two results from being compared; empty when nothing does.

    Args:
        answers: by job id; where those of a job lack, its questions are taken to be those of its study.
    """
    return joined(
        _conditions_apart(ours, theirs) or _questions_apart(answers.get(ours.job_id), answers.get(theirs.job_id))
    )


def _conditions_apart(ours: Result, theirs: Result) -> list[Message]:
    found = [
        *_tokenizers_apart(ours, theirs),
        *_differ(Message("model revision"), ours.model.revision[:12], theirs.model.revision[:12]),
        *_tasks_apart(ours, theirs),
        *_differ(Message("start-of-text token"), ours.add_bos_token, theirs.add_bos_token),
    ]
    if not (ours.served or theirs.served):  # in what a server computes is part of what is compared
        found += _differ(Message("compute dtype"), ours.environment.dtype, theirs.environment.dtype)
    if not {ours.scorer, theirs.scorer} <= SAME_ANSWERS:
        found += _differ(Message("scorer"), ours.scorer, theirs.scorer)
    return found


def _tokenizers_apart(ours: Result, theirs: Result) -> list[Message]:
    """Scores of two tokenizers are over other tokens; checkpoints with one of their own stand alone."""
    found = [result.checkpoint.other_tokenizer for result in (ours, theirs) if result.checkpoint]
    return [apart for apart in found if apart][:1]


def _questions_apart(ours: Answers | None, theirs: Answers | None) -> list[Message]:
    if ours is None or theirs is None:
        return []
    if not ours.right.index.equals(theirs.right.index):
        return [Message("other questions")]
    if ours.prompts != theirs.prompts:
        return [Message("questions put differently (template or few-shot examples)")]
    return []


def _tasks_apart(ours: Result, theirs: Result) -> Iterator[Message]:
    theirs_by_name = {score.task: score for score in theirs.tasks}
    if {score.task for score in ours.tasks} != set(theirs_by_name):
        yield Message("other tasks")
        return
    for score in ours.tasks:
        other, task = theirs_by_name[score.task], {"task": score.task}
        yield from _differ(Message("{task}: task version", task), score.version, other.version)
        yield from _differ(Message("{task}: few-shot examples", task), score.num_fewshot, other.num_fewshot)
        yield from _differ(Message("{task}: data", task), score.data, other.data)
        yield from _differ(Message("{task}: questions", task), score.n, other.n)


def _differ(what: Message, ours: object, theirs: object) -> list[Message]:
    values = {"what": what, "ours": ours, "theirs": theirs}
    return [] if ours == theirs else [Message("{what} {ours} instead of {theirs}", values)]
