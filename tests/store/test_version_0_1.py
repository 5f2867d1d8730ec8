"""A study that version 0.1 packed (21 November 2026) still opens, compares and shows the same figures."""

from pathlib import Path

from qcompare.compare.table import read_comparison
from qcompare.plan.curve import curves_of_studies
from qcompare.present.html import headline_html, table_html
from qcompare.present.render import render
from qcompare.store import Store
from qcompare.store.packing import unpack

PACKED = Path(__file__).with_name("version_0_1.qcompare.zip")
AVERAGES = {"bf16": 0.45, "uniform": 0.37, "head": 0.39, "tail": 0.41, "mixed": 0.36}
DIVERGENCES = {"bf16": 0.0, "uniform": 1.437, "head": 1.111, "tail": 0.860, "mixed": 0.623}


def test_it_opens_and_compares_with_the_same_figures(home: Path) -> None:
    store = Store(home)
    study_id = unpack(store, PACKED)
    comparison = read_comparison(store, (study_id,))
    rows = {row.recipe: row for row in comparison.scored}
    assert {name: round(row.average or 0, 4) for name, row in rows.items()} == AVERAGES
    assert {name: round(row.divergence.kl, 3) for name, row in rows.items() if row.divergence} == DIVERGENCES
    assert rows["mixed"].versus_bf16 and round(100 * rows["mixed"].versus_bf16.difference, 1) == -9.0
    assert "0.3200 ± 0.0952" in render(comparison, "md")
    assert headline_html(comparison)
    assert table_html(comparison)


def test_layer_scores_without_sizes_give_no_curves(home: Path) -> None:
    store = Store(home)
    study_id = unpack(store, PACKED)
    assert any(store.folder(job.id).layer_scores() for job in store.jobs(study_id))
    assert curves_of_studies(store, [study_id], store.results(study_id)) == []
