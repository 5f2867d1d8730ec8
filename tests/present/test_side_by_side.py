"""Answers of the recipes to one prompt, and to the turns of one conversation."""

from pathlib import Path

from qcompare.compare.next_tokens import FirstDivergence, Likelihood, read_next_tokens
from qcompare.compare.selection import read_selection
from qcompare.present.side_by_side import likelihoods, side_by_side
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


def parted(text: str, at: int, original: dict[str, float], here: dict[str, float]) -> str:
    baseline, recipe = (tuple(Likelihood(each, p) for each, p in pair.items()) for pair in (original, here))
    return likelihoods(text, FirstDivergence(at, baseline, recipe))  # type: ignore[arg-type]


def test_probabilities_are_said_of_whole_words_ends_and_signs() -> None:
    assert (
        parted("It is London", 5, {" Paris": 0.62, " London": 0.21}, {" London": 0.44, " Paris": 0.4})
        == "original: “Paris” 0.62, “London” 0.21; here: “London” 0.44, “Paris” 0.40"
    )
    assert "“Paris” 0.62, “Party” <0.01" in parted("A Party", 5, {"is": 0.62, "ty": 0.001}, {"ty": 0.9, "is": 0.1})
    assert "(end of the answer) 0.90" in parted("It is", 2, {"": 0.9, " is": 0.05}, {" is": 0.5, "": 0.4})
    assert "“⏎⏎” 0.50, “⏎” 0.40" in parted("A\nB", 1, {"\n\n": 0.5, "\n": 0.4}, {"\n": 0.5, "\n\n": 0.4})
    assert "“␣a” 0.50, “a” 0.40" in parted("(a", 1, {" a": 0.5, "a": 0.4}, {"a": 0.5, " a": 0.4})


def test_probabilities_are_shown_only_where_both_models_had_read_the_same(home: Path) -> None:
    store, talk = Store(home), ("Name a river", "Where?")
    study = add_study(store, Study(prompts=(talk,), recipes=("bf16", "uniform", "head")))
    bf16, uniform, head = store.jobs(study.id)
    for job, texts in (
        (bf16, ("The Nile", "In Africa")),
        (uniform, ("The Nile", "In Asia")),
        (head, ("Nile", "In Asia")),
    ):
        finish_job(store, study, job.id, generations=[said(talk[0], texts[0]), said(talk, texts[1])])
    selection = read_selection(store, (study.id,))
    (asked,) = side_by_side(selection, read_next_tokens(store, selection))
    _, same_start, other_start = (column.answers for column in asked.columns)
    assert not same_start[0].likely and "here: “Asia” 0.61" in same_start[1].likely
    assert "here: “Nile” 0.61" in other_start[0].likely and not other_start[1].likely


def test_the_original_comes_first_and_beside_it_the_recipe_to_ship(home: Path) -> None:
    store = Store(home)
    study = add_study(store, Study(prompts=("Hello",), recipes=("uniform", "bf16", "head")))
    for job in store.jobs(study.id):
        finish_job(store, study, job.id, generations=[said("Hello", "Hi")])
    selection, (_, _, head) = read_selection(store, (study.id,)), store.jobs(study.id)
    (found,) = side_by_side(selection, first=head.id)
    assert [column.recipe for column in found.columns] == ["bf16", "head", "uniform"]
    (found,) = side_by_side(selection)
    assert [column.recipe for column in found.columns] == ["bf16", "uniform", "head"]
