"""The same study with more questions: scores that are kept are not computed again, so it takes only the new ones."""

from math import ceil

from qcompare.errors import InvalidStudy
from qcompare.plan.plan import question_count
from qcompare.study.records import StudyRecord
from qcompare.study.spec import Study
from qcompare.study.task import TASKS

SUFFIX = " · {n} questions"
"""Ends the name of a study that goes on from another."""


def with_questions(study: Study, wanted: int) -> Study:
    """A study whose `limit` is as high as it takes to ask so many questions, or all there are.

    Raises:
        InvalidStudy: it asks all questions already.
    """
    if study.limit is None or not study.tasks:
        raise InvalidStudy("all questions of this study's tasks are asked already: add a task in New")
    held = [TASKS[task].questions for task in study.tasks]
    if None not in held and wanted >= sum(size or 0 for size in held):
        limit = None
    else:
        limit = study.limit
        while (asked := question_count(study.model_copy(update={"limit": limit}))) < wanted:
            limit = max(limit + 1, ceil(limit * wanted / asked))
    more = study.model_copy(update={"limit": limit})
    if question_count(more) <= question_count(study):
        raise InvalidStudy("all questions of this study's tasks are asked already: add a task in New")
    return more


def name_with_questions(record: StudyRecord, more: Study) -> str:
    """The name of a study that goes on from another: the same, with how many questions it asks."""
    before = SUFFIX.format(n=question_count(record.spec))
    return record.name.removesuffix(before) + SUFFIX.format(n=question_count(more))
