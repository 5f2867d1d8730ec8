"""Several studies of one model, side by side."""

import json
from pathlib import Path

import pytest

from qcompare.compare.questions import read_questions
from qcompare.compare.selection import read_selection
from qcompare.compare.sensitivity import read_layer_scores
from qcompare.compare.table import Comparison, read_comparison
from qcompare.errors import NotFound, QCompareError
from qcompare.present.answer import answer
from qcompare.present.caveats import caveats
from qcompare.present.html import table_html
from qcompare.present.layer_map import layer_maps
from qcompare.present.render import render
from qcompare.present.report import report
from qcompare.present.side_by_side import side_by_side
from qcompare.store import Store
from qcompare.study.ids import StudyIds
from qcompare.study.records import StudyRecord
from qcompare.study.spec import Study
from qcompare.words import use_language
from tests.synthetic import ENVIRONMENT, MODEL, add_study, finish_job, finished_study


def both(home: Path, *specs: Study) -> tuple[Comparison, StudyIds]:
    names = tuple(finished_study(home, spec).id for spec in specs)
    return read_comparison(Store(home), names), names


def finished_with(home: Path, spec: Study, **changes: object) -> StudyRecord:
    store = Store(home)
    study = add_study(store, spec)
    for job in store.jobs(study.id):
        finish_job(store, study, job.id, **changes)
    return study


def test_rows_of_both_stand_in_one_table_and_what_is_the_same_stands_once(home: Path) -> None:
    found, _ = both(home, Study(recipes=("bf16", "uniform", "mixed")), Study(recipes=("bf16", "uniform", "tail")))
    assert [str(row.title) for row in found.rows] == ["BF16", "Uniform", "Mixed", "Input end high"]
    assert [*map(str, found.set_apart)] == [""]
    assert "The same in several studies, shown once: BF16, Uniform." in caveats(found)


def test_every_row_is_held_against_the_one_bf16(home: Path) -> None:
    found, _ = both(home, Study(recipes=("bf16", "mixed")), Study(recipes=("tail",)))
    assert [row.versus_bf16 is not None for row in found.rows] == [False, True, True]
    assert all(row.percent_of_bf16 for row in found.rows)
    assert len(found.pairs) == 1


def test_other_budgets_are_named(home: Path) -> None:
    found, _ = both(home, *(Study(avg_bits=(bits,), recipes=("bf16", "mixed")) for bits in (4.5, 6.0)))
    assert [str(row.title) for row in found.rows] == ["BF16", "Mixed · 4.5 bits", "Mixed · 6 bits"]


def test_other_schemes_are_named_in_rows_and_verdict(home: Path) -> None:
    older = finished_study(home, Study(recipes=("bf16", "mixed"), limit=100))
    other = Study(recipes=("mixed",), schemes=("W4A16", "W8A16"), limit=100)
    newer = finished_with(home, other, layer_config={"model.layers.0.a": "W4A16"})
    found = read_comparison(Store(home), (older.id, newer.id))
    assert [str(row.title) for row in found.rows] == ["BF16", "Mixed · MXFP4/MXFP8", "Mixed · W4A16/W8A16"]
    assert "Mixed · MXFP4/MXFP8" in answer(found).plain.text


def test_rows_that_only_their_study_tells_apart_bear_its_id(home: Path) -> None:
    older = finished_study(home, Study(recipes=("mixed",)))
    newer = finished_with(home, Study(recipes=("mixed",)), layer_config={"model.layers.0.a": "MXFP4"})
    titles = [str(row.title) for row in read_comparison(Store(home), (older.id, newer.id)).rows]
    assert titles == [f"Mixed · {study.id[-6:]}" for study in (older, newer)]


def test_rows_measured_otherwise_stand_in_a_table_of_their_own(home: Path) -> None:
    found, _ = both(home, Study(limit=50), Study(limit=25, tasks=("piqa",)))
    assert [row.group for row in found.rows] == [0] * 5 + [1] * 5
    assert str(found.set_apart[1]) == "other tasks"
    html = table_html(found)
    assert html.count("<table") == 2
    assert html.rpartition("<table")[2].count('data-task="') == 5, "columns only of tasks that were asked"
    assert found.rows[6].versus_bf16 is not None, "a table of its own has its own BF16"


def test_another_revision_of_the_model_is_no_row_of_the_same_table(home: Path) -> None:
    older = finished_study(home)
    newer = finished_with(home, Study(), model=MODEL.model_copy(update={"revision": "1" * 12}))
    found = read_comparison(Store(home), (older.id, newer.id))
    assert str(found.set_apart[1]) == "model revision 111111111111 instead of 000000000000"


def test_another_compute_dtype_is_named(home: Path) -> None:
    older = finished_study(home)
    newer = finished_with(home, Study(), environment=ENVIRONMENT.model_copy(update={"dtype": "bfloat16"}))
    found = read_comparison(Store(home), (older.id, newer.id))
    assert str(found.set_apart[1]) == "compute dtype bfloat16 instead of float32"


def test_studies_of_different_models_are_refused_in_one_line(home: Path) -> None:
    store = Store(home)
    names = tuple(add_study(store, Study(model=model)).id for model in ("demo", "org/other"))
    with pytest.raises(QCompareError, match=r"different models \(demo, org/other\): choose studies of one"):
        read_selection(store, names)


def test_an_unknown_one_among_them_is_named(home: Path) -> None:
    study = finished_study(home)
    with pytest.raises(NotFound, match="unknown study 'x'"):
        read_selection(Store(home), (study.id, "x"))


def test_a_study_named_twice_is_taken_once(home: Path) -> None:
    study = finished_study(home)
    assert read_selection(Store(home), (study.id, study.id)).ids == (study.id,)


def test_answers_maps_and_questions_are_those_of_all_studies(home: Path) -> None:
    _, names = both(home, Study(recipes=("bf16", "mixed")), Study(recipes=("bf16", "tail")))
    store = Store(home)
    selection = read_selection(store, names)
    answers = side_by_side(selection)
    assert [[column.title for column in each.columns] for each in answers] == [
        ["BF16", "Mixed", "Input end high"]
    ] * len(answers)
    maps = layer_maps(selection, read_layer_scores(store, selection))
    assert [each.title for each in maps] == ["Mixed", "Input end high"]
    tail = next(job for job in selection.jobs if job.recipe == "tail")
    found = read_questions(store, tail.id, "piqa", among=names)
    assert [*map(str, found.recipes)] == ["BF16", "Mixed", "Input end high"]


def test_the_report_and_all_text_forms_hold_all_studies(home: Path) -> None:
    found, names = both(home, Study(recipes=("bf16", "mixed")), Study(recipes=("tail",)))
    page = report(Store(home), names)
    assert page.count("Study file: ") == 2
    for text in (page, *(render(found, format) for format in ("table", "md", "latex", "json"))):
        assert "Input end high" in text and "Mixed" in text


def test_only_questions_of_rows_that_are_compared_are_counted(home: Path) -> None:
    specs = Study(limit=50, tasks=("piqa",)), Study(limit=100, tasks=("piqa", "hellaswag", "winogrande"))
    found, _ = both(home, *specs)
    assert {row.group for row in found.rows} == {0, 1}
    assert (found.questions, found.tasks) == (50, ("piqa",))
    assert "50 questions per recipe." in caveats(found)
    assert "300" not in answer(found).plain.text


def test_several_studies_are_one_in_the_stored_form(home: Path) -> None:
    found, names = both(home, Study(recipes=("bf16", "mixed")), Study(recipes=("tail",)))
    stored = json.loads(render(found, "json"))
    assert stored["study_id"] == ",".join(names)
    assert stored["name"].endswith(" and 1 other")
    assert [row["title"] for row in stored["rows"]] == ["BF16", "Mixed", "Input end high"]


def test_messages_are_translated_where_they_are_shown(home: Path) -> None:
    older = finished_study(home, Study(recipes=("bf16", "mixed"), limit=50))
    other = Study(recipes=("bf16", "mixed"), iters=20, rounding="tuned", tasks=("piqa",))
    newer = finished_with(home, other, layer_config={"model.layers.0.a": "MXFP4"})
    store, ids = Store(home), (older.id, newer.id)
    store.folder(f"{older.id}.mixed-5").samples_file.unlink()
    english = ("the answers of", "other tasks", "tuned, 20 steps", "and 1 other")
    shown = f"{report(store, ids)} {render(read_comparison(store, ids), 'md')}"
    assert all(text in shown for text in english)
    with use_language("zh"):
        shown = f"{report(store, ids)} {render(read_comparison(store, ids), 'md')}"
    assert not any(text in shown for text in english)
