"""Answers to prompts that were asked of a study's recipes later, as if the study had asked them itself."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from qcompare.compare.selection import Selection
from qcompare.store import Store
from qcompare.study.records import Job, StudyRecord
from qcompare.study.result import Generation, Result


def with_asked(store: Store, selection: Selection, public: bool = False) -> Selection:
    """The selection with the prompts asked of its studies since, and the answers that are there.

    Args:
        public: leave out what visitors asked for themselves.
    """
    asked = {
        study.id: [later for later in store.asked_of(study.id) if not (public and later.owner)]
        for study in selection.studies
    }
    if not any(asked.values()):
        return selection
    rows = {job.id: job for job in selection.jobs}
    studies = tuple(_with_prompts(study, asked[study.id]) for study in selection.studies)
    results = tuple(
        _with_answers(store, result, rows[result.job_id], asked[result.study_id]) for result in selection.results
    )
    return replace(selection, studies=studies, results=results)


def _with_prompts(study: StudyRecord, asked: list[StudyRecord]) -> StudyRecord:
    prompts = (*study.spec.prompts, *(prompt for later in asked for prompt in later.spec.prompts))
    return study.model_copy(update={"spec": study.spec.model_copy(update={"prompts": tuple(dict.fromkeys(prompts))})})


def _with_answers(store: Store, result: Result, row: Job, asked: list[StudyRecord]) -> Result:
    answers = [answer for later in asked for answer in _answers(store, later, row)]
    return result.model_copy(update={"generations": [*result.generations, *answers]})


def _answers(store: Store, later: StudyRecord, row: Job) -> Iterator[Generation]:
    """What the same row answered in a later study."""
    same = {*same_rows(store, [later], row)}
    for result in store.results(later.id):
        if result.job_id in same:
            yield from result.generations


def same_rows(store: Store, later: Iterable[StudyRecord], row: Job) -> Iterator[str]:
    """Ids of the jobs that asked a row the prompts of later studies."""
    return (job.id for study in later for job in store.jobs(study.id) if _row(job) == _row(row))


def _row(job: Job) -> tuple[str, float | None, dict[str, object]]:
    return job.recipe, job.avg_bits, job.params
