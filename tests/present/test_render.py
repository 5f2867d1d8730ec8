"""Text forms of a comparison."""

import csv
import io
import json
from pathlib import Path

import pytest

from qcompare.compare.table import Comparison, read_comparison
from qcompare.errors import QCompareError
from qcompare.present.caveats import caveats
from qcompare.present.figures import KINDS
from qcompare.present.html import table_html
from qcompare.present.render import FORMATS, render
from qcompare.store import Store
from qcompare.study.result import SCHEMA_VERSION, Served, ServerSpeed
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
    mixed = next(line for line in lines if line.strip().startswith("Mixed "))
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


def test_every_study_of_the_demo_model_says_that_its_weights_lie_on_a_grid(finished: Comparison) -> None:
    assert finished.model and any("lie on a 4-bit grid" in note for note in caveats(finished))
    other = finished.model.model_copy(update={"source": "hub"})
    assert not any("4-bit" in note for note in caveats(finished.model_copy(update={"model": other})))


def test_speeds_of_a_server_have_columns_of_their_own(home: Path) -> None:
    row = {"recipe": "endpoint", "url": "http://host:8000/v1", "title": "vLLM"}
    store = Store(home)
    study = add_study(store, Study.model_validate({"recipes": ["bf16", "uniform", row]}))
    speeds = [
        ServerSpeed(
            batch=batch, prompt_tokens_per_second=1000.0 * batch, decode_tokens_per_second=50.5 * batch,
            first_token_seconds=0.05 * batch, prompt_tokens=256, new_tokens=64,
        )
        for batch in (1, 8)
    ]  # fmt: skip
    served = Served(url=row["url"], model="m", as_tokens=True, speeds=tuple(speeds))
    for job in store.jobs(study.id):
        own = {"served": served, "bits": None, "size_bytes": None, "divergence": None, "layer_config": {}}
        finish_job(store, study, job.id, **own if job.recipe == "endpoint" else {})
    comparison = read_comparison(store, (study.id,))
    _, _, header, _, *lines = render(comparison, "md").splitlines()
    assert header.endswith(
        "prompt tokens/s of the server at 1 / 8 | decode tokens/s at 1 / 8 | first token at 1 / 8 |"
    )
    assert lines[1].endswith("| – | – | – |")
    assert lines[2].startswith("| vLLM ") and lines[2].endswith("| 1000 / 8000 | 50.5 / 404 | 50 ms / 0.40 s |")
    lines = list(csv.DictReader(io.StringIO(render(comparison, "csv"))))
    average = next(line for line in lines if line["recipe"] == "endpoint" and line["task"] == "average")
    assert (average["server"], average["decode_tokens_per_second_at_8"]) == (row["url"], "404.0")
    html = table_html(comparison)
    assert "Decode tokens/s, server" in html and "at 8: 404" in html
    assert not any("tokens/s" in text for text in (table_html(finished_comparison(home)),))
    for kind in KINDS:
        kind.draw(comparison)
    assert any("what weights it holds is not known" in note for note in caveats(comparison))


def finished_comparison(home: Path) -> Comparison:
    study = finished_study(home)
    return read_comparison(Store(home), (study.id,))
