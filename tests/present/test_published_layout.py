"""Tables laid out as the source documents."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from qcompare.compare.published import AVERAGE, MODELS, PUBLISHED, PublishedTable
from qcompare.compare.table import Comparison, read_comparison
from qcompare.errors import QCompareError
from qcompare.present.published_layout import as_latex, as_markdown, published_layout, read_columns
from qcompare.present.take_away import as_text
from qcompare.store import Store
from qcompare.study.spec import Study
from tests.synthetic import add_study, fail_job, finish_job, finished_study, make_result

DOCUMENT = """
Average bits Llama3.1-8B-I Qwen2.5-7B-I Qwen3-8B Qwen3-32B
BF16 0.7076 (100%) 0.7075 (100%) 0.6764 (100%) 0.7321 (100%)
Pure 4-bit 0.6626 (93.6%) 0.6550 (92.6%) 0.6316 (93.4%) 0.6901 (94.3%)
Ours 4.5-bit 0.6808 (96.2%) 0.6776 (95.8%) 0.6550 (96.8%) 0.7176 (98.0%)
Ours 5-bit 0.6857 (96.9%) 0.6823 (96.4%) 0.6594 (97.5%) 0.7201 (98.4%)
Ours 6-bit 0.6975 (98.6%) 0.6970 (98.5%) 0.6716 (99.3%) 0.7303 (99.8%)
""".strip().splitlines()
"""As printed, but for 98.3 %, which is 98.36."""
EDGES_AT_5 = """
Avg. bits = 5 Llama3.1-8B-I Qwen2.5-7B-I Qwen3-8B
Tail layers 8-bit 0.6671 (94.3%) 0.6616 (93.5%) 0.6410 (94.8%)
Head layers 8-bit 0.6657 (94.1%) 0.6686 (94.5%) 0.6356 (94.0%)
Ours 0.6857 (96.9%) 0.6823 (96.4%) 0.6594 (97.5%)
""".strip().splitlines()


def as_measured(
    home: Path, tables: Sequence[PublishedTable], study: Study, models: Sequence[str]
) -> list[Comparison]:
    """Comparisons whose averages are the printed ones."""
    finished_study(home, study)
    made_up = read_comparison(Store(home), (Store(home).studies()[0].id,))
    found = []
    for model in models:
        cells = [cell for table in tables for cell in table.cells if (cell.model, cell.metric) == (model, AVERAGE)]
        printed = {(cell.recipe, cell.avg_bits): cell.value for cell in cells}
        bf16 = printed.get(("bf16", None)) or next((cell.bf16 for cell in cells if cell.bf16), None)
        rows = [
            row.model_copy(
                update={"average": value, "percent_of_bf16": 100 * value / bf16 if bf16 and value else None}
            )
            for row in made_up.rows
            for value in [printed.get((row.recipe, row.avg_bits))]
        ]
        asked = made_up.study.model_copy(update={"model": model})
        named = made_up.model and made_up.model.model_copy(update={"name": model.rpartition("/")[2]})
        found.append(made_up.model_copy(update={"rows": tuple(rows), "study": asked, "model": named}))
    return found


def printed(lines: Sequence[Sequence[str]]) -> list[str]:
    return [" ".join(line) for line in lines]


def test_table_1_comes_out_as_it_is_printed(home: Path) -> None:
    study = Study(recipes=("bf16", "uniform", "mixed"), avg_bits=(4.5, 5.0, 6.0))
    (table,) = published_layout(as_measured(home, PUBLISHED[:1], study, MODELS))
    assert table.title == "MXFP4/8 mixed accuracy"
    assert printed([table.header, *table.lines]) == DOCUMENT


def test_table_2_comes_out_as_it_is_printed(home: Path) -> None:
    study = Study(recipes=("head", "tail", "mixed"), avg_bits=(5.0,))
    _, table = published_layout(as_measured(home, PUBLISHED[1:2], study, MODELS[:3]))
    assert table.title == "Comparison with other recipes at an average of 5 bits of mxfp datatype"
    assert printed([table.header, *table.lines]) == EDGES_AT_5


def test_table_4_comes_out_as_it_is_printed_without_shares(home: Path) -> None:
    study = Study(recipes=("head", "tail", "mixed"), avg_bits=(3.0,), schemes=("W2A16", "W4A16"))
    _, table = published_layout(as_measured(home, PUBLISHED[3:4], study, MODELS[:3]))
    assert table.title == "Comparison with other recipes at an average of 3 bits of W2G128 and W4G128"
    assert printed(table.lines)[0] == "Tail layers 4-bit 0.6058 0.3798 0.4536"


def test_gsm8k_stands_as_strict_and_flexible_percentages_with_the_sizes(home: Path) -> None:
    store = Store(home)
    study = add_study(store, Study(tasks=("gsm8k",), recipes=("bf16", "awq_fp8_dynamic", "rtn_fp8_dynamic"), limit=3))
    for job in store.jobs(study.id):
        score = make_result(study, job.id).tasks[0].model_copy(update={"value": 0.2267, "flexible": 0.3078})
        finish_job(store, study, job.id, tasks=[score], size_bytes=920_000_000)
    sizes, scores = published_layout([read_comparison(store, (study.id,))])
    assert sizes.lines[0] == ("FP8_DYNAMIC without AWQ", "0.92 GB") or ("FP8_DYNAMIC", "0.92 GB") in sizes.lines
    assert scores.header == ("Model", "Strict Match", "Flexible Extract")
    assert ("FP8_DYNAMIC", "22.67%", "30.78%") in scores.lines
    assert scores.lines[0][0] == "BF16"


def test_studies_of_several_models_are_columns_of_one_table(home: Path) -> None:
    ids = [finished_study(home, Study(model=model, limit=3)).id for model in ("org/Qwen3-8B", "org/Qwen3-32B")]
    columns = read_columns(Store(home), tuple(ids))
    assert [each.study.model for each in columns] == ["org/Qwen3-8B", "org/Qwen3-32B"]
    assert all(len(line) == 3 for table in published_layout(columns) for line in table.lines)


def test_studies_that_asked_for_something_else_are_no_columns_of_one_table(home: Path) -> None:
    ids = [finished_study(home, Study(model=f"org/model-{n}", limit=n)).id for n in (3, 4)]
    with pytest.raises(QCompareError, match="differ in limit"):
        read_columns(Store(home), tuple(ids))


def test_both_forms_say_what_failed_and_let_nothing_out_of_a_cell(home: Path) -> None:
    store = Store(home)
    study = add_study(store, Study(model="org/a_b|c&d", limit=3))
    bf16, uniform, *others = store.jobs(study.id)
    for job in (bf16, *others):
        finish_job(store, study, job.id)
    fail_job(store, uniform.id, "no space\nleft")
    columns = [each.model_copy(update={"model": None}) for each in read_columns(store, (study.id,))]
    markdown, latex = as_markdown(columns), as_latex(columns)
    assert "Uniform failed: no space left" in markdown and "Uniform failed: no space left" in latex
    assert "| Pure 4-bit | – |" in markdown
    assert r"a\_b|c\&d" in latex and "a_b\\|c&amp;d" in markdown
    assert all(line.startswith("%") or "&" in line or "\\" in line for line in latex.splitlines() if line)
    assert not re.findall(r"(?<!\\)&", latex.split("\\midrule")[0].split("\\toprule")[0])


def test_the_layout_is_a_format_of_show(home: Path) -> None:
    study = finished_study(home)
    assert "**Table 1** MXFP4/8 mixed accuracy" in as_text(Store(home), (study.id,), "published_md")
