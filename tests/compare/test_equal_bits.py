"""Whether choosing layers paid is said of rows of equal bits, and only as far as the statistics go."""

from pathlib import Path

from qcompare.compare.equal_bits import equal_bits
from qcompare.compare.table import Comparison, read_comparison
from qcompare.present.equal_bits import choosing_paid
from qcompare.store import Store
from qcompare.study.spec import Study
from tests.synthetic import finished_study


def measured(home: Path, **values: object) -> Comparison:
    study = finished_study(home, Study.model_validate(values))
    return read_comparison(Store(home), (study.id,))


def test_a_chosen_recipe_stands_beside_those_of_its_size_and_the_lowest(home: Path) -> None:
    comparison = measured(home, limit=100, avg_bits=(5.0, 6.0))
    at_5, at_6 = equal_bits(comparison)
    assert (at_5.avg_bits, at_6.avg_bits) == (5.0, 6.0)
    for found in (at_5, at_6):
        assert {each.row.recipe for each in found.others} == {"head", "tail", "uniform"}
        budgets = {each.row.avg_bits for each in found.others if each.row.recipe != "uniform"}
        assert budgets == {found.avg_bits}
        assert all(each.paired and each.kl for each in found.others)


def test_what_is_significant_is_said_and_nothing_else(home: Path) -> None:
    (sentence,) = choosing_paid(measured(home, limit=100))
    assert sentence == (
        "At 5 bits Mixed answers more questions right than Uniform, Output end high and Input end high. "
        "Its predictions are closer to the original’s than all of theirs."
    )
    (few,) = choosing_paid(measured(home, limit=4))
    assert few.startswith(
        "At 5 bits the questions show no significant gain of Mixed over Uniform, Output end high and"
    )


def test_without_a_chosen_recipe_nothing_is_said(home: Path) -> None:
    assert choosing_paid(measured(home, recipes=("bf16", "uniform", "head"))) == ()
    assert choosing_paid(measured(home, recipes=("bf16", "mixed"))) == ()
