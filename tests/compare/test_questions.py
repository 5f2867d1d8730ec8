"""The questions behind a score."""

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcompare.compare.questions import Change, answer_index, option_shares, read_questions
from qcompare.compare.table import read_comparison
from qcompare.errors import QCompareError
from qcompare.present.html import questions_html
from qcompare.store import Store
from qcompare.study.samples import Sample, read_samples, write_samples
from qcompare.study.spec import Study
from tests.synthetic import Answered, add_study, answered, few, finish_job, finished_study, sample


def job(home: Path, recipe: str = "uniform") -> tuple[Store, str]:
    study = finished_study(home, Study(limit=100))
    return Store(home), f"{study.id}.{recipe}"


def test_counts_by_kind_are_those_of_the_table(home: Path) -> None:
    store, job_id = job(home)
    found = read_questions(store, job_id, "piqa")
    rows = {row.job_id: row for row in read_comparison(store, (job_id.split(".")[0],)).rows}
    paired = rows[job_id].versus_bf16
    change = paired and paired.task("piqa")
    assert change is not None
    assert (found.counts[Change.LOST], found.counts[Change.GAINED], found.counts[Change.BOTH]) == (
        change.lost,
        change.gained,
        change.both,
    )
    assert sum(found.counts.values()) == found.found == 100


@pytest.mark.parametrize("change", Change)
def test_only_questions_of_the_change_are_shown(home: Path, change: Change) -> None:
    store, job_id = job(home)
    found = read_questions(store, job_id, "piqa", change, limit=1000)
    assert len(found.shown) == found.found == found.counts[change]
    assert {question.change for question in found.shown} <= {change}


def test_search_looks_in_question_and_options_whatever_the_case(home: Path) -> None:
    store, job_id = job(home)
    assert read_questions(store, job_id, "piqa", search="QUESTION 17 of").found == 1
    assert read_questions(store, job_id, "piqa", search="option c").found == 100
    assert read_questions(store, job_id, "piqa", search=".*").found == 0


def test_every_recipe_says_how_likely_it_found_each_option(home: Path) -> None:
    store, job_id = job(home)
    found = read_questions(store, job_id, "piqa", Change.LOST)
    assert tuple(map(str, found.recipes)) == ("BF16", "Uniform", "Output end high", "Input end high", "Mixed")
    question = found.shown[0]
    assert [option.is_answer for option in question.options] == [True, False, False, False]
    assert question.right[:2] == (True, False)
    for recipe in range(5):
        assert sum(option.shares[recipe] or 0 for option in question.options) == pytest.approx(1)


def test_unreadable_answers_are_one_line(home: Path) -> None:
    store, job_id = job(home)
    store.folder(job_id).samples_file.write_bytes(b"PAR1 not really")
    with pytest.raises(QCompareError, match="cannot be read"):
        read_questions(store, job_id, "piqa")


def test_the_right_option_is_found_by_number_by_text_and_by_what_was_chosen() -> None:
    def asked(target: str, options: list[str], likelihoods: list[float], acc: float) -> int | None:
        return answer_index(sample(target=target, options=tuple(options), loglikelihoods=tuple(likelihoods), acc=acc))

    assert asked("2", [" a", " b", " c"], [-1, -2, -3], 0) == 2
    assert asked("c", [" a", " b", " c"], [-1, -2, -3], 0) == 2
    assert asked(" signs", [" signs"], [-4], 0) == 0
    assert asked("same end", ["same end", "same end"], [-1, -2], 1) == 0
    assert asked("same end", ["same end", "same end"], [-1, -2], 0) == 1


def test_shares_of_unlikely_options_do_not_vanish_together() -> None:
    assert option_shares([-2000.0, -2000.0]) == (0.5, 0.5)


def test_questions_answered_in_writing_show_every_recipes_answer(home: Path) -> None:
    store, job_id = job(home)
    for each in store.jobs(job_id.split(".")[0]):
        file = store.folder(each.id).samples_file
        samples = read_samples(file)
        found = [samples.get(key) for key in samples.index]
        written = {"target": "#### 2", "answer": f"{each.recipe} says <b>2</b>", "options": (), "loglikelihoods": ()}
        write_samples(file, [replace(one, **written) for one in found if one])
    questions = read_questions(store, job_id, "piqa", Change.LOST)
    assert questions.shown[0].written[1] == "uniform says <b>2</b>"
    assert "uniform says &lt;b&gt;2" in questions_html(questions)
    assert "#### 2" in questions_html(questions)


def test_filtering_a_full_task_takes_under_a_third_of_a_second(home: Path) -> None:
    store, job_id = job(home)
    number = 14_042
    right = np.random.default_rng(0).integers(0, 2, number).astype(float)
    words = "Which of the following words is found in question " + "x " * 200
    samples = [
        sample(study_task="mmlu", task="mmlu_anatomy", doc_id=n, question=words, acc=acc)
        for n, acc in enumerate(right)
    ]
    file = store.folder(job_id).samples_file
    write_samples(file, samples)
    for each in store.jobs(job_id.split(".")[0]):
        if each.id != job_id:
            shutil.copy(file, store.folder(each.id).samples_file)
    read_questions(store, job_id, "mmlu")  # the first view reads the files
    start = time.process_time()
    found = read_questions(store, job_id, "mmlu", Change.BOTH, "ANATOMY")
    assert time.process_time() - start < 0.3
    assert found.found == int(right.sum())


def test_only_questions_where_recipes_disagree_are_shown(home: Path) -> None:
    store = Store(home)
    study = add_study(store, Study(tasks=("piqa", "lambada_openai", "gsm8k"), recipes=("bf16", "uniform", "head")))
    choices = {"bf16": (0, 0, 1), "uniform": (0, 1, 1), "head": (0, 2, 2)}

    def options(recipe: str) -> list[Sample]:
        picks = (tuple(-1.0 if n == pick else -2.0 for n in range(4)) for pick in choices[recipe])
        return [
            sample(doc_id=n, loglikelihoods=each, acc=float(choices[recipe][n] == 0)) for n, each in enumerate(picks)
        ]

    def alone(recipe: str, task: str, **changes: Any) -> list[Sample]:
        right = {"bf16": (1, 0), "uniform": (1, 1), "head": (1, 0)}[recipe]
        return [
            sample(study_task=task, task=task, doc_id=n, acc=float(acc), **changes) for n, acc in enumerate(right)
        ]

    for job in store.jobs(study.id):
        rows = [
            *options(job.recipe),
            *alone(job.recipe, "lambada_openai", options=("x",), loglikelihoods=(-1.0,)),
            *alone(job.recipe, "gsm8k", options=(), loglikelihoods=(), answer="7"),
        ]
        scores = answered(job.recipe, few(study.spec)).scores
        finish_job(store, study, job.id, Answered(scores, rows, 0.5, 0.1))
    uniform = f"{study.id}.uniform"
    found = read_questions(store, uniform, "piqa", disagree=True)
    assert [question.doc_id for question in found.shown] == [1, 2] and found.found == found.disagreements == 2
    assert [[option.chosen.index(True) for option in found.shown[0].options if any(option.chosen)]] == [[0, 1, 2]]
    assert found.shown[1].options[2].loglikelihoods == (-2.0, -2.0, -1.0)
    assert read_questions(store, uniform, "piqa", disagree=False).disagreements == 2
    assert read_questions(store, uniform, "piqa", Change.NEITHER, disagree=True).found == 1
    for task in ("lambada_openai", "gsm8k"):
        assert [question.doc_id for question in read_questions(store, uniform, task, disagree=True).shown] == [1]
    html = questions_html(found)
    assert html.count('aria-label="chosen"') == 6 and "␣option A" in html and "−2.00" in html
