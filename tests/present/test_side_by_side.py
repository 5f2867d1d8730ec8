"""Answers of the recipes to one prompt, and to the turns of one conversation."""

from pathlib import Path

from qcompare.compare.selection import read_selection
from qcompare.present.side_by_side import side_by_side
from qcompare.store import Store
from qcompare.study.result import Generation
from qcompare.study.spec import Study
from tests.synthetic import add_study, finish_job


def said(prompt: str | tuple[str, ...], text: str) -> Generation:
    return Generation(prompt=prompt, text=text, tokens=5, seconds=1.0)


def test_each_turn_is_marked_where_it_leaves_the_references_answer_to_that_turn(home: Path) -> None:
    store = Store(home)
    study = add_study(store, Study(prompts=(("Name a river", "Where?"), "Hello"), recipes=("bf16", "uniform")))
    bf16, uniform = store.jobs(study.id)
    talk = ("Name a river", "Where?")
    first = [said(talk[0], "The Nile"), said(talk, "In Africa it is"), said("Hello", "Hi")]
    second = [said(talk[0], "The Nile"), said(talk, "In Asia it is"), said("Hello", "")]
    finish_job(store, study, bf16.id, generations=first)
    finish_job(store, study, uniform.id, generations=second)
    conversation, hello = side_by_side(read_selection(store, (study.id,)))
    assert (conversation.prompt, conversation.turns, hello.turns) == ("Name a river", 2, 1)
    opening, follow_up = conversation.columns[1].answers
    assert (opening.note, opening.word) == ("word for word the same", "")
    assert (follow_up.turn, follow_up.before, follow_up.word, follow_up.after) == ("Where?", "In ", "Asia", " it is")
    assert [column.answers[0].empty for column in hello.columns] == [False, True]
