"""From stored records to the table."""

from pathlib import Path

import pytest

from qcompare.compare.comparable import set_apart
from qcompare.compare.table import Comparison, read_comparison
from qcompare.errors import NotFound
from qcompare.present.caveats import caveats
from qcompare.store import Store
from qcompare.study.records import Status
from qcompare.study.spec import Study
from tests.synthetic import ENVIRONMENT, add_study, fail_job, finish_job, finished_study, make_result, run_job


def read(home: Path) -> Comparison:
    store = Store(home)
    return read_comparison(store, (store.studies()[0].id,))


def test_rows_stand_in_the_order_of_the_jobs(home: Path) -> None:
    finished_study(home)
    assert [str(row.title) for row in read(home).rows] == [
        "BF16",
        "Uniform",
        "Output end high",
        "Input end high",
        "Mixed",
    ]


def test_several_budgets_are_named_in_the_titles(home: Path) -> None:
    finished_study(home, Study(avg_bits=(5.0, 6.0), recipes=("bf16", "mixed")))
    assert [str(row.title) for row in read(home).rows] == ["BF16", "Mixed · 5 bits", "Mixed · 6 bits"]


def test_percent_is_of_the_bf16_average(home: Path) -> None:
    finished_study(home)
    found = read(home)
    assert found.baseline is not None and found.baseline.average is not None
    for row in found.rows:
        assert row.average is not None
        assert row.percent_of_bf16 == pytest.approx(100 * row.average / found.baseline.average)


def test_without_bf16_there_is_no_percent(home: Path) -> None:
    finished_study(home, Study(recipes=("uniform", "mixed")))
    assert [row.percent_of_bf16 for row in read(home).rows] == [None, None]


def test_jobs_without_a_result_keep_their_row_and_reason(home: Path) -> None:
    store = Store(home)
    study = add_study(store)
    bf16, uniform, head, *_ = store.jobs(study.id)
    finish_job(store, study, bf16.id)
    fail_job(store, uniform.id, "out of memory")
    run_job(store, head.id)
    rows = read(home).rows
    assert [row.status for row in rows[:4]] == [Status.SUCCESS, Status.FAILED, Status.RUNNING, Status.QUEUED]
    assert str(rows[1].error) == "out of memory"
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
    assert found.baseline is not None and found.baseline.average is not None
    for row in found.rows[1:]:
        assert row.average is not None and row.versus_bf16 is not None
        assert row.versus_bf16.difference == pytest.approx(row.average - found.baseline.average)


def test_a_lost_answers_file_costs_the_interval_not_the_row(home: Path) -> None:
    study = finished_study(home)
    store = Store(home)
    store.folder(f"{study.id}.mixed-5").samples_file.unlink()
    mixed = read(home).rows[-1]
    assert mixed.average is not None
    assert mixed.versus_bf16 is None
    assert mixed.unpaired_because is not None and "cannot be read" in str(mixed.unpaired_because)


def test_a_study_of_prompts_alone_has_no_scores_and_says_so(home: Path) -> None:
    finished_study(home, Study(tasks=()))
    assert read(home).scored == ()


def test_unknown_study_is_not_found(home: Path) -> None:
    with pytest.raises(NotFound, match="no study 'x'"):
        read_comparison(Store(home), ("x",))


def test_caveats_name_simulation_and_demo_data(home: Path) -> None:
    finished_study(home)
    text = " ".join(caveats(read(home)))
    assert "400 questions per recipe" in text
    assert "Accuracy is true to the format; speed was not measured." in text
    assert "demo bundle" in text


def test_results_of_other_conditions_stand_apart_with_the_difference_named(home: Path) -> None:
    store = Store(home)
    study = add_study(store, Study(recipes=("bf16", "uniform", "mixed")))
    bf16, uniform, mixed = store.jobs(study.id)
    finish_job(store, study, mixed.id, environment=ENVIRONMENT.model_copy(update={"dtype": "bfloat16"}))
    finish_job(store, study, bf16.id)
    finish_job(store, study, uniform.id)
    found = read(home)
    assert [row.group for row in found.rows] == [0, 0, 1]
    assert tuple(map(str, found.set_apart)) == ("", "compute dtype bfloat16 instead of float32")
    apart = found.rows[2]
    assert (apart.versus_bf16, apart.percent_of_bf16) == (None, None)
    assert apart.average is not None and apart not in found.scored
    assert found.best is not None and found.best.recipe == "uniform"
    assert "Not compared: Mixed (compute dtype bfloat16 instead of float32)." in caveats(found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "2"}, "piqa: task version 2 instead of 1"),
        ({"num_fewshot": 5}, "piqa: few-shot examples 5 instead of 0"),
        ({"data": "hub"}, "piqa: data hub instead of demo bundle"),
        ({"n": 7}, "piqa: questions 7 instead of 100"),
    ],
)
def test_every_condition_of_a_task_keeps_tables_apart(home: Path, change: dict[str, object], words: str) -> None:
    study = add_study(Store(home), Study(tasks=("piqa",)))
    one = make_result(study, f"{study.id}.bf16")
    other = make_result(study, f"{study.id}.uniform", tasks=[one.tasks[0].model_copy(update=change)])
    assert str(set_apart(other, one, {})) == words


def test_ways_of_the_scorer_that_give_the_same_answers_stand_together(home: Path) -> None:
    study = add_study(Store(home))
    one = make_result(study, f"{study.id}.bf16", scorer="packed")
    assert not set_apart(make_result(study, f"{study.id}.uniform", scorer="padded"), one, {})
    assert set_apart(make_result(study, f"{study.id}.uniform", scorer="by hand"), one, {})


def test_corrected_values_are_never_smaller_than_the_plain_ones(home: Path) -> None:
    finished_study(home, Study(limit=100))
    for row in read(home).rows[1:]:
        assert row.versus_bf16 is not None and row.versus_bf16.p_holm is not None
        assert row.versus_bf16.p_holm >= row.versus_bf16.p
        assert all(task.p_holm is not None and task.p_holm >= task.p for task in row.versus_bf16.tasks)


def test_every_two_quantized_recipes_are_compared(home: Path) -> None:
    study = finished_study(home)
    names = {(pair.job_id, pair.other_job_id) for pair in read(home).pairs}
    assert len(names) == 6
    assert (f"{study.id}.uniform", f"{study.id}.mixed-5") in names
