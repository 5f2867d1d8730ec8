"""Metrics that are no accuracy: compared on the same draws of questions, apart from the average."""

import random
from math import exp
from pathlib import Path

import pytest

from qcompare.compare.answers import read_all_answers
from qcompare.compare.questions import Change, read_questions
from qcompare.compare.selection import read_selection
from qcompare.compare.table import Comparison, compare
from qcompare.evaluate.metrics import Aggregation, resampled
from qcompare.present.answer import answer
from qcompare.present.html import questions_html, table_html
from qcompare.present.render import render
from qcompare.store import Store
from qcompare.study.result import TaskScore
from qcompare.study.samples import Sample
from qcompare.study.spec import Study
from tests.synthetic import Answered, add_study, answered, few, finish_job, sample

TEXTS = 40


def weighted_perplexity(pairs: list[tuple[float, int]]) -> float:
    return exp(-sum(total for total, _ in pairs) / sum(size for _, size in pairs))


def texts(recipe: str, loss: float) -> tuple[TaskScore, list[Sample]]:
    """A perplexity of texts, of which each is as hard for every recipe and `loss` nats per word worse."""
    shared, own = random.Random("texts"), random.Random(recipe)
    sizes = [shared.randrange(20, 400) for _ in range(TEXTS)]
    each = [-shared.gauss(3, 0.8) - loss - own.gauss(0, 0.01) for _ in range(TEXTS)]
    pairs = [(size * value, size) for size, value in zip(sizes, each, strict=True)]
    score = TaskScore(
        task="wikitext", metric="word_perplexity", value=weighted_perplexity(pairs), stderr=1.0, n=TEXTS, version="2",
        num_fewshot=0, data="task file", higher_is_better=False, averaged=False,
        resamples=resampled([Aggregation(pairs, weighted_perplexity)], by_size=True),
    )  # fmt: skip
    samples = [
        sample(study_task="wikitext", task="wikitext", doc_id=n, options=(), loglikelihoods=(size * value,),
               acc=value, is_greedy=(False,), target="")
        for n, (size, value) in enumerate(zip(sizes, each, strict=True))
    ]  # fmt: skip
    return score, samples


def comparison(home: Path, tasks: tuple[str, ...], losses: dict[str, float]) -> tuple[Store, Comparison]:
    store = Store(home)
    spec = Study.model_validate({"tasks": ["wikitext", *tasks], "recipes": [*losses], "limit": 20})
    study = add_study(store, spec)
    sizes = {task: size for task, size in few(spec).items() if task != "wikitext"}
    for job in store.jobs(study.id):
        name = job.id.split(".", 1)[1].partition("-")[0]
        score, asked = texts(name, losses[name])
        others = answered(name, sizes) if sizes else Answered([], [], 0.0, 0.0)
        both = Answered([score, *others.scores], [*asked, *others.samples], others.average, others.stderr)
        finish_job(store, study, job.id, both, average=others.average if sizes else None)
    selection = read_selection(store, (study.id,))
    return store, compare(selection, *read_all_answers(store, selection.results))


def test_a_perplexity_is_compared_apart_from_the_average(home: Path) -> None:
    store, found = comparison(home, ("piqa",), {"bf16": 0.0, "uniform": 0.2, "mixed": 0.001})
    _, uniform, mixed = found.rows
    worse, same = uniform.metric("wikitext"), mixed.metric("wikitext")
    assert worse is not None and same is not None
    assert worse.is_significant and worse.low > 0 and worse.worse == TEXTS
    assert worse.low < worse.difference < worse.high
    assert not same.is_significant and same.low < 0 < same.high
    assert uniform.versus_bf16 is not None
    assert [task.task for task in uniform.versus_bf16.tasks] == ["piqa"]
    assert uniform.versus_bf16.questions == 20
    assert all(score.resamples == () for row in found.rows for score in row.tasks)
    assert "word perplexity" in table_html(found)
    assert "wikitext" in render(found, "table")
    questions = read_questions(store, uniform.job_id, "wikitext", Change.LOST)
    assert questions.by_score and questions.found == TEXTS
    assert "Worse" in questions_html(questions)


def test_a_study_of_perplexities_alone_says_where_to_look(home: Path) -> None:
    _, found = comparison(home, (), {"bf16": 0.0, "uniform": 0.2})
    assert found.rows[1].unpaired_because is None
    assert found.rows[1].metric("wikitext") is not None
    assert "the table shows their metrics" in answer(found).plain.claim


@pytest.mark.parametrize("loss", [0.0, 0.005])
def test_chance_alone_is_seldom_called_significant(loss: float) -> None:
    """The same draws of questions cancel what both recipes find hard: the interval is far narrower than either's."""
    (ours, _), (theirs, _) = texts("a", loss), texts("b", 0.0)
    spread = [a - b for a, b in zip(ours.resamples, theirs.resamples, strict=True)]
    assert max(spread) - min(spread) < 0.1 * (max(ours.resamples) - min(ours.resamples))
