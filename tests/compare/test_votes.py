"""Blind votes of several voters together."""

from pathlib import Path

import pytest

from qcompare.compare.selection import read_selection
from qcompare.compare.votes import Preference, pooled
from qcompare.store import Store
from qcompare.study.result import Generation
from qcompare.study.spec import Study
from qcompare.study.vote import Vote
from tests.synthetic import add_study, finish_job

TEXTS = {"bf16": "Paris.", "uniform": "Rome.", "head": "Paris."}


@pytest.fixture
def store(home: Path) -> Store:
    store = Store(home)
    study = add_study(store, Study(prompts=("Where?", "Why?"), recipes=tuple(TEXTS)))
    for job in store.jobs(study.id):
        said = [Generation(prompt=p, text=TEXTS[job.recipe], tokens=1, seconds=1.0) for p in study.spec.prompts]
        finish_job(store, study, job.id, generations=said)
    return store


def vote(store: Store, voter: str, chosen: str, *shown: str, prompt: str = "Where?", time: float = 0.0) -> Vote:
    study_id = store.newest() or ""
    jobs = {job.recipe: job.id for job in store.jobs(study_id)}
    among = tuple(jobs[recipe] for recipe in shown or TEXTS)
    return Vote(studies=study_id, prompt=prompt, voter=voter, chosen=jobs[chosen], shown=among, time=time)


def preferences(store: Store) -> dict[str, Preference]:
    study_id = store.newest() or ""
    found = pooled(read_selection(store, (study_id,)), store.votes(study_id))
    return {each.recipe: each for each in found.preferences}


def test_a_voter_s_later_vote_on_a_prompt_replaces_the_earlier_one(store: Store) -> None:
    store.add_vote(vote(store, "ann", "bf16", time=1.0))
    store.add_vote(vote(store, "ann", "uniform", time=2.0))
    store.add_vote(vote(store, "ann", "bf16", prompt="Why?", time=3.0))
    store.add_vote(vote(store, "ben", "bf16", time=4.0))
    study_id = store.newest() or ""
    assert [(v.voter, v.prompt, v.chosen) for v in Store(store.home).votes(study_id)] == [
        ("ann", "Where?", f"{study_id}.uniform"),
        ("ann", "Why?", f"{study_id}.bf16"),
        ("ben", "Where?", f"{study_id}.bf16"),
    ]
    found = pooled(read_selection(store, (study_id,)), store.votes(study_id))
    assert (found.votes, found.voters) == (3, 2)


def test_a_vote_counts_for_all_that_say_the_same_with_wilson_s_interval(store: Store) -> None:
    for n in range(10):
        store.add_vote(vote(store, f"voter {n}", "bf16" if n < 7 else "uniform"))
    found = preferences(store)
    assert [*found] == ["bf16", "head", "uniform"]
    assert (found["head"].won, found["head"].votes) == (7, 10)
    # Wilson 1927, z = 1.959964: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n)
    assert (found["bf16"].low, found["bf16"].high) == pytest.approx((0.3968, 0.8922), abs=1e-4)
    assert (found["bf16"].by_chance, found["uniform"].by_chance) == pytest.approx((2 / 3, 1 / 3))


def test_a_recipe_that_came_later_does_not_lose_votes_it_was_not_in(store: Store) -> None:
    store.add_vote(vote(store, "ann", "bf16", "bf16", "uniform"))
    store.add_vote(vote(store, "ben", "uniform"))
    found = preferences(store)
    assert (found["head"].won, found["head"].votes) == (0, 1)
    assert (found["bf16"].won, found["bf16"].votes) == (1, 2)


def test_votes_go_with_their_study_also_those_on_several_side_by_side(store: Store) -> None:
    study_id = store.newest() or ""
    store.add_vote(vote(store, "ann", "bf16"))
    store.add_vote(vote(store, "ann", "bf16").model_copy(update={"studies": f"other,{study_id}"}))
    store.add_vote(vote(store, "ann", "bf16").model_copy(update={"studies": "other"}))
    store.delete(study_id)
    assert not store.votes(study_id) and not store.votes(f"other,{study_id}") and len(store.votes("other")) == 1
