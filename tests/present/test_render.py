"""Text forms of a comparison."""

import csv
import io
import json
from pathlib import Path

import pytest

from qcompare.compare.table import Comparison, read_comparison
from qcompare.errors import QCompareError
from qcompare.present.render import FORMATS, render
from qcompare.store import Store
from qcompare.study.result import SCHEMA_VERSION
from qcompare.study.spec import Study
from tests.synthetic import add_study, fail_job, finish_job, finished_study


@pytest.fixture
def finished(home: Path) -> Comparison:
    study = finished_study(home)
    return read_comparison(Store(home), (study.id,))


@pytest.fixture
def half_done(home: Path) -> Comparison:
    store = Store(home)
    study = add_study(store, Study(model="a|b<c>"))
    bf16, uniform, *_ = store.jobs(study.id)
    finish_job(store, study, bf16.id)
    fail_job(store, uniform.id, "no space | left <here>")
    return read_comparison(store, (study.id,))


def test_table_has_a_line_a_recipe_with_percent_bits_and_size(finished: Comparison) -> None:
    lines = render(finished, "table").splitlines()
    mixed = next(line for line in lines if "Mixed" in line)
    assert "%)" in mixed and "4.99" in mixed and "5.24" in mixed and "MB" in mixed and "±" in mixed
    assert "(100%)" in next(line for line in lines if "BF16 " in line and "±" in line)


def test_table_has_no_colour_codes_and_no_trailing_space(finished: Comparison) -> None:
    text = render(finished, "table")
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_json_is_versioned_and_comes_back_as_it_was(finished: Comparison) -> None:
    text = render(finished, "json")
    values = json.loads(text)
    assert values["schema_version"] == SCHEMA_VERSION
    assert values["rows"][4]["versus_bf16"]["level"] == 0.95
    assert values["rows"][4]["environment"]["libraries"]["torch"]
    assert render(Comparison.model_validate_json(text), "json") == text


def test_csv_has_a_line_a_task_and_one_for_the_average(finished: Comparison) -> None:
    lines = list(csv.DictReader(io.StringIO(render(finished, "csv"))))
    assert len(lines) == 5 * (4 + 1)
    averages = [line for line in lines if line["task"] == "average"]
    assert [line["recipe"] for line in averages] == ["bf16", "uniform", "head", "tail", "mixed"]
    assert float(averages[4]["value"]) == finished.rows[4].average


def test_markdown_is_a_table_with_equal_columns(finished: Comparison) -> None:
    table = [line for line in render(finished, "md").splitlines() if line.startswith("|")]
    assert len(table) == 2 + 5
    assert len({line.count("|") for line in table}) == 1
    assert "(100%)" in table[2]


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_shows_failure_and_names_the_reason(half_done: Comparison, format: str) -> None:
    text = render(half_done, format)
    assert "failed" in text
    assert "no space" in text


def test_markdown_cells_cannot_break_the_table_or_bear_html(half_done: Comparison) -> None:
    text = render(half_done, "md")
    assert "<here>" not in text
    assert "space \\| left" in text


def test_unknown_format_names_the_known_ones(finished: Comparison) -> None:
    with pytest.raises(QCompareError, match="did you mean 'json'"):
        render(finished, "jsn")
