"""Files that leave the app: the report, tables, sentences."""

import io
import json
import re
import time
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from qcompare.errors import QCompareError
from qcompare.present.report import report
from qcompare.present.take_away import FILES, as_text
from qcompare.store import Store
from qcompare.study.ids import StudyIds
from qcompare.study.spec import Study
from tests.synthetic import add_study, fail_job, finish_job, finished_study, make_result

NASTY = "<script>alert(1)</script> <img src=x onerror=alert(1)> {{ 7*7 }} \u202e 🦆"


@pytest.fixture
def finished(home: Path) -> tuple[Store, StudyIds]:
    return Store(home), (finished_study(home, Study(limit=100)).id,)


def outside_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.S)


def test_report_holds_verdict_table_figures_questions_and_answers(finished: tuple[Store, StudyIds]) -> None:
    page = re.sub(r"</?dfn[^>]*>", "", report(*finished))
    for part in (
        *("If you ship one: Mixed, 5 bits", "Holm-corrected over 4", "Accuracy against bits", "PIQA, Uniform:"),
        *("Eiffel Tower", "schemes:", "auto-round 0.15.1"),
    ):
        assert part in page


def test_report_asks_nothing_of_other_machines_and_is_small_enough(finished: tuple[Store, StudyIds]) -> None:
    page = report(*finished)
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", outside_scripts(page))
    assert '<script src="' not in page
    assert len(page.encode()) < 8_000_000


def test_report_shows_markup_as_text(home: Path) -> None:
    store = Store(home)
    study = add_study(store, Study(prompts=(NASTY,), recipes=("bf16", "uniform", "head")), name=NASTY)
    bf16, uniform, head = store.jobs(study.id)
    answer = make_result(study, uniform.id).generations[0].model_copy(update={"text": NASTY * 2000})
    finish_job(store, study, bf16.id)
    finish_job(store, study, uniform.id, generations=[answer])
    fail_job(store, head.id, NASTY)
    page = report(store, (study.id,))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", page)[0]


def test_report_of_a_study_without_any_result_says_so(home: Path) -> None:
    study = add_study(Store(home))
    assert "No recipe is finished yet." in report(Store(home), (study.id,))


@pytest.mark.parametrize("format", FILES)
def test_every_file_is_made_and_names_every_recipe(finished: tuple[Store, StudyIds], format: str) -> None:
    content = FILES[format].make(*finished)
    if format == "parquet":
        frame = pd.read_parquet(io.BytesIO(content))
        assert set(frame["recipe"]) == {"bf16", "uniform", "head", "tail", "mixed"}
        assert frame["p_holm"].dtype == "float64"
    elif format == "lm_eval":
        names = zipfile.ZipFile(io.BytesIO(content)).namelist()
        assert {Path(name).parent.name.rpartition(".")[2].partition("-")[0] for name in names} == {
            *("bf16", "uniform", "head", "tail", "mixed")
        }
        assert len({Path(name).parent for name in names if "results_" in name}) == 5
    else:
        text = content.decode().lower()
        names = (("bf16",), ("uniform",), ("head", "output end high"), ("tail", "input end high"), ("mixed",))
        assert all(any(name in text for name in either) for either in names)


def test_json_has_p_values_and_both_comparisons(finished: tuple[Store, StudyIds]) -> None:
    mixed = json.loads(as_text(*finished, "json"))["rows"][4]
    for other in ("versus_bf16", "versus_uniform"):
        assert {"p", "p_holm", "lost", "gained", "percent_low"} <= set(mixed[other])
        assert {"p", "p_holm", "lost", "gained"} <= set(mixed[other]["tasks"][0])


def test_latex_is_one_tabular_with_equal_columns_and_nothing_special_left(home: Path) -> None:
    store = Store(home)
    study = add_study(store, Study(model="a_b&c%"))
    bf16, uniform, *_ = store.jobs(study.id)
    finish_job(store, study, bf16.id)
    fail_job(store, uniform.id, "no & space \\ left\non disk")
    text = as_text(store, (study.id,), "latex")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len({len(re.findall(r"(?<!\\)&", line)) for line in rows}) == 1
    assert r"lambada\_openai" in text
    assert "% Uniform failed: no & space" in text


def test_unknown_format_names_the_known_ones(finished: tuple[Store, StudyIds]) -> None:
    with pytest.raises(QCompareError, match="did you mean 'html'"):
        as_text(*finished, "htm")


def test_a_large_study_is_reported_within_ten_seconds(home: Path) -> None:
    tasks = ("lambada_openai", "hellaswag", "piqa", "winogrande")
    study = finished_study(home, Study(tasks=tasks, limit=1500, avg_bits=(4.5, 5.0)))
    start = time.process_time()
    page = report(Store(home), (study.id,))
    assert time.process_time() - start < 10
    assert len(page.encode()) < 8_000_000
