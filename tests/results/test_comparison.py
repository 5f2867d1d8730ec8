"""From stored records to the table."""

from pathlib import Path

import pytest

from qcompare.errors import NotFound
from qcompare.results.headline import Headline, caveats, headline
from qcompare.results.table import Comparison, read_all_answers, read_comparison
from qcompare.store import Store
from qcompare.study.records import Status
from qcompare.study.spec import Study
from tests.synthetic import add_study, fail_job, finish_job, finished_study, make_result, run_job


def read(home: Path) -> Comparison:
    store = Store(home)
    return read_comparison(store, store.studies()[0].id)


def say(home: Path) -> Headline:
    store = Store(home)
    study = store.studies()[0]
    return headline(read_comparison(store, study.id), read_all_answers(store, store.results(study.id))[0])


def test_rows_stand_in_the_order_of_the_jobs(home: Path) -> None:
    finished_study(home)
    assert [row.title for row in read(home).rows] == ["BF16", "Uniform", "Head high", "Tail high", "Mixed"]


def test_several_budgets_are_named_in_the_titles(home: Path) -> None:
    finished_study(home, Study(avg_bits=(5.0, 6.0), recipes=("bf16", "mixed")))
    assert [row.title for row in read(home).rows] == ["BF16", "Mixed · 5 bits", "Mixed · 6 bits"]


def test_percent_is_of_the_bf16_average(home: Path) -> None:
    finished_study(home)
    found = read(home)
    assert found.reference is not None and found.reference.average is not None
    for row in found.rows:
        assert row.average is not None
        assert row.percent_of_bf16 == pytest.approx(100 * row.average / found.reference.average)


def test_without_bf16_there_is_no_percent(home: Path) -> None:
    finished_study(home, Study(recipes=("uniform", "mixed")))
    assert [row.percent_of_bf16 for row in read(home).rows] == [None, None]
    assert "best score" in say(home).claim


def test_jobs_without_a_result_keep_their_row_and_reason(home: Path) -> None:
    store = Store(home)
    study = add_study(store)
    bf16, uniform, head, *_ = store.jobs(study.id)
    finish_job(store, study, bf16.id)
    fail_job(store, uniform.id, "out of memory")
    run_job(store, head.id)
    rows = read(home).rows
    assert [row.status for row in rows[:4]] == [Status.SUCCESS, Status.FAILED, Status.RUNNING, Status.QUEUED]
    assert rows[1].error == "out of memory"
    assert rows[1].average is None
    assert "Failed and left out: Uniform." in caveats(read(home))


def test_a_score_that_is_no_number_stays_missing(home: Path) -> None:
    store = Store(home)
    study = add_study(store, Study(recipes=("bf16", "uniform")))
    bf16, uniform = store.jobs(study.id)
    finish_job(store, study, bf16.id, average=None, average_stderr=None)
    finish_job(store, study, uniform.id)
    rows = read(home).rows
    assert (rows[0].average, rows[0].percent_of_bf16, rows[1].percent_of_bf16) == (None, None, None)


def test_differences_are_paired_with_bf16_and_uniform(home: Path) -> None:
    finished_study(home)
    by_recipe = {row.recipe: row for row in read(home).rows}
    assert by_recipe["bf16"].versus_bf16 is None
    mixed = by_recipe["mixed"]
    assert mixed.versus_bf16 is not None and mixed.versus_uniform is not None
    assert mixed.versus_bf16.difference < 0 < mixed.versus_uniform.difference


def test_difference_equals_that_of_the_averages(home: Path) -> None:
    finished_study(home, Study(tasks=("piqa", "mmlu")))
    found = read(home)
    assert found.reference is not None and found.reference.average is not None
    for row in found.rows[1:]:
        assert row.average is not None and row.versus_bf16 is not None
        assert row.versus_bf16.difference == pytest.approx(row.average - found.reference.average)


def test_a_lost_answers_file_costs_the_interval_not_the_row(home: Path) -> None:
    study = finished_study(home)
    store = Store(home)
    store.folder(f"{study.id}.mixed-5").samples_file.unlink()
    mixed = read(home).rows[-1]
    assert mixed.average is not None
    assert mixed.versus_bf16 is None
    assert mixed.unpaired_because is not None and "cannot be read" in mixed.unpaired_because


def test_a_study_of_prompts_alone_has_no_scores_and_says_so(home: Path) -> None:
    finished_study(home, Study(tasks=()))
    assert read(home).scored == ()
    assert "no benchmark questions" in say(home).claim


def test_unknown_study_is_not_found(home: Path) -> None:
    with pytest.raises(NotFound, match="no study 'x'"):
        read_comparison(Store(home), "x")


def test_headline_names_the_best_and_what_it_keeps(home: Path) -> None:
    finished_study(home, Study(limit=100))
    said = say(home)
    assert said.claim == "At 5 bits, mixed keeps 93.0% of BF16’s average score."
    assert "real" in said.details[0]
    assert said.details[1].startswith("It is ahead of Uniform, Head high and Tail high")


def test_headline_does_not_rank_what_so_few_questions_cannot_tell_apart(home: Path) -> None:
    finished_study(home, Study(limit=3, tasks=("piqa",), recipes=("bf16", "tail", "mixed")))
    assert say(home).claim == "At 5 bits, 3 questions cannot tell tail high from BF16."
    said = " ".join(say(home).details)
    assert "cannot tell it from" in said
    assert "ahead" not in said


def closest(home: Path, **changes: object) -> list[str]:
    """What the headline says about predictions, with other figures for the mixed recipe's KL."""
    store = Store(home)
    study = add_study(store, Study(limit=100))
    for job in store.jobs(study.id):
        found = make_result(study, job.id)
        assert found.divergence
        if job.recipe == "mixed":
            found = found.model_copy(update={"divergence": found.divergence.model_copy(update=changes)})
        finish_job(store, study, job.id, divergence=found.divergence)
    return [sentence for sentence in say(home).details if "Word by word" in sentence]


def test_headline_names_the_recipe_whose_predictions_are_closest(home: Path) -> None:
    assert closest(home) == ["Word by word, Mixed predicts most like BF16: KL 0.730, next Tail high with 0.980."]


def test_headline_names_no_closest_recipe_within_the_error(home: Path) -> None:
    assert closest(home, kl_stderr=0.2) == []


def test_headline_of_an_unfinished_study_says_so(home: Path) -> None:
    store = Store(home)
    study = add_study(store)
    bf16, uniform, *_ = store.jobs(study.id)
    assert say(home).claim == "No recipe is finished yet."
    finish_job(store, study, bf16.id)
    assert say(home).claim.startswith("BF16 is measured")
    finish_job(store, study, uniform.id)
    assert say(home).claim.startswith("So far: uniform") or say(home).claim.startswith("So far: Uniform")


def test_caveats_name_simulation_and_demo_data(home: Path) -> None:
    finished_study(home)
    text = " ".join(caveats(read(home)))
    assert "100 questions a recipe" in text
    assert "Simulated" in text
    assert "demo bundle" in text
