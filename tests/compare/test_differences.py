"""Which results are compared with which."""

from pathlib import Path

from qcompare.compare.differences import _compared_with
from qcompare.compare.equal_bits import equal_bits
from qcompare.compare.table import read_comparison
from qcompare.store import Store
from tests.synthetic import finished_study


def test_rows_are_compared_with_a_uniform_recipe_of_the_same_kv_cache(home: Path) -> None:
    study = finished_study(home)
    results = {result.recipe: result for result in Store(home).results(study.id)}
    cached = [results[name].model_copy(update={"kv_cache": "fp8"}) for name in ("uniform", "mixed")]
    group = [*results.values(), *cached]
    assert [result.recipe for result in _compared_with(cached[0], group)] == ["uniform", "mixed"]
    assert {result.kv_cache for result in _compared_with(results["uniform"], group)} == {None}
    assert _compared_with(results["bf16"], group) == group


def test_rows_of_equal_bits_have_the_same_kv_cache(home: Path) -> None:
    study = finished_study(home)
    comparison = read_comparison(Store(home), (study.id,))
    rows = [row.model_copy(update={"kv_cache": "fp8" if row.recipe == "head" else None}) for row in comparison.rows]
    (found,) = equal_bits(comparison.model_copy(update={"rows": tuple(rows)}))
    assert {each.row.recipe for each in found.others} == {"tail", "uniform"}
