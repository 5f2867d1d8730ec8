"""Prompts asked of a study later stand beside its own."""

from pathlib import Path

from qcompare.compare.asked import with_asked
from qcompare.compare.selection import read_selection
from qcompare.present.side_by_side import side_by_side
from qcompare.store import Store
from qcompare.study.records import StudyRecord
from qcompare.study.spec import Study
from tests.synthetic import finish_job, finished_study


def asked(home: Path, owner: str | None = None) -> tuple[Store, StudyRecord, StudyRecord]:
    study = finished_study(home, Study(prompts=("first",)))
    store = Store(home)
    spec = Study(prompts=("later",), recipes=("bf16", "mixed"), tasks=(), divergence=None)
    later = store.add_study(spec, "Prompt: later", [("bf16", None), ("mixed", 5.0)], asked_of=study.id, owner=owner)
    for job in store.jobs(later.id):
        finish_job(store, later, job.id)
    return store, study, later


def test_answers_join_the_study_that_was_asked(home: Path) -> None:
    store, study, _ = asked(home)
    first, later = side_by_side(with_asked(store, read_selection(store, (study.id,))))
    assert (first.prompt, later.prompt) == ("first", "later")
    assert len(first.columns) == 5
    assert [column.title for column in later.columns] == ["BF16", "Mixed"]


def test_what_a_visitor_asked_is_left_out_of_what_everybody_sees(home: Path) -> None:
    store, study, _ = asked(home, owner="somebody")
    selection = read_selection(store, (study.id,))
    assert len(side_by_side(with_asked(store, selection))) == 2
    assert [each.prompt for each in side_by_side(with_asked(store, selection, public=True))] == ["first"]


def test_a_prompt_asked_later_is_no_study_to_be_opened_and_goes_with_its_own(home: Path) -> None:
    store, study, later = asked(home)
    assert store.newest() == study.id
    assert [each.id for each in store.asked_of(study.id)] == [later.id]
    store.delete(study.id)
    assert store.studies() == []
    assert not store.study_folder(later.id).exists()


def test_a_study_of_which_nothing_was_asked_is_as_it_was(home: Path) -> None:
    study = finished_study(home)
    selection = read_selection(Store(home), (study.id,))
    assert with_asked(Store(home), selection) is selection
