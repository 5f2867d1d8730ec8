"""Where an answer leaves the baseline's, and how likely both models found both tokens."""

from math import log
from pathlib import Path

import pytest

from qcompare.compare.next_tokens import FirstDivergence, Likelihood, first_divergence, read_next_tokens
from qcompare.compare.selection import read_selection
from qcompare.store import Store
from qcompare.study.next_tokens import AnswerTokens, Candidate, NextToken, NextTokens
from qcompare.study.prompts import Prompt
from qcompare.study.result import Generation
from qcompare.study.spec import Study
from tests.synthetic import add_study, finish_job

IDS = {"The": 1, " Paris": 2, " London": 3, " Rome": 4, "": 5}


def answer(*tokens: dict[str, float], ids: bool = True, prompt: Prompt = "Hello") -> AnswerTokens:
    """Candidates with their probabilities, token by token; the first was written."""
    found, at = [], 0
    for each in tokens:
        candidates = tuple(Candidate(IDS[text] if ids else None, text, log(p)) for text, p in each.items())
        found.append(NextToken(at, candidates))
        at += len(candidates[0].text)
    return AnswerTokens(prompt=prompt, tokens=tuple(found))


ORIGINAL = answer({"The": 0.9}, {" Paris": 0.62, " London": 0.21})


@pytest.mark.parametrize("ids", [True, False])
def test_both_models_say_how_likely_both_tokens_were(ids: bool) -> None:
    here = answer({"The": 0.8}, {" London": 0.44, " Paris": 0.40}, ids=ids)
    found = first_divergence(ORIGINAL, here)
    assert found is not None and found.at == 3
    assert [(each.text, round(each.probability, 6)) for each in found.baseline] == [
        (" Paris", 0.62),
        (" London", 0.21),
    ]
    assert [(each.text, round(each.probability, 6)) for each in found.here] == [(" London", 0.44), (" Paris", 0.40)]


def test_a_token_that_was_not_among_the_candidates_was_at_most_as_likely_as_the_last_of_them() -> None:
    found = first_divergence(ORIGINAL, answer({"The": 0.8}, {" Rome": 0.5, " Paris": 0.3}))
    assert found is not None
    assert found.baseline[1] == Likelihood(" Rome", pytest.approx(0.21), at_most=True)  # type: ignore[arg-type]


def test_an_answer_that_ends_sooner_parts_at_its_last_token() -> None:
    found = first_divergence(ORIGINAL, answer({"The": 0.8}, {"": 0.5, " Paris": 0.3}))
    assert isinstance(found, FirstDivergence) and found.here[0].text == ""


def test_the_same_tokens_part_nowhere() -> None:
    assert first_divergence(ORIGINAL, answer({"The": 0.8}, {" Paris": 0.4})) is None
    assert first_divergence(ORIGINAL, answer({"The": 0.8})) is None


def test_prompts_asked_later_bring_their_tokens_and_older_results_have_none(home: Path) -> None:
    store = Store(home)
    spec = Study(prompts=("Hello",), recipes=("bf16", "uniform"), tasks=(), divergence=None)
    study = add_study(store, spec)
    later = store.add_study(
        spec.model_copy(update={"prompts": ("Why?",)}), "later", [(recipe, None) for recipe in spec.recipes],
        asked_of=study.id,
    )  # fmt: skip
    for record, prompt in ((study, "Hello"), (later, "Why?")):
        for job in store.jobs(record.id):
            said = Generation(prompt=prompt, text="Because", tokens=1, seconds=1.0)
            finish_job(store, record, job.id, generations=[said])
    bf16, uniform = store.jobs(study.id)
    store.folder(uniform.id).next_tokens_file.unlink()
    found = read_next_tokens(store, read_selection(store, (study.id,)))
    assert {*found[bf16.id]} == {"Hello", "Why?"} and {*found[uniform.id]} == {"Why?"}
    newer = NextTokens(version=99, answers=()).model_dump_json().replace("answers", "others")
    store.folder(bf16.id).next_tokens_file.write_text(newer)
    assert {*read_next_tokens(store, read_selection(store, (study.id,)))[bf16.id]} == {"Why?"}
