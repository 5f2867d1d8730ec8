"""Budget curves: every budget from one scoring, the same choice as a job's, next to what was measured."""

import json
import time
from pathlib import Path

import pytest

from qcompare.errors import InvalidStudy
from qcompare.plan.curve import BudgetCurves, curves_of_studies
from qcompare.recipes.allocate import allocate
from qcompare.recipes.groups import layer_groups
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import StudyRecord
from qcompare.study.spec import Study
from tests.synthetic import add_study, finished_study, layer_scores


@pytest.fixture
def study(home: Path) -> StudyRecord:
    return finished_study(home)


def curves(store: Store, study: StudyRecord) -> BudgetCurves:
    (found,) = curves_of_studies(store, [study.id], store.results(study.id))
    return found


def test_every_budget_is_what_a_job_would_choose(home: Path, study: StudyRecord) -> None:
    found, scores = curves(Store(home), study), layer_scores(study.spec)
    assert (found.budgets[0], found.budgets[-1]) == (4.0, 8.0)
    assert max(b - a for a, b in zip(found.budgets, found.budgets[1:], strict=False)) < 0.0501
    by_recipe = {curve.recipe: curve for curve in found.curves}
    assert set(by_recipe) == {"mixed", "head", "tail"}
    groups = layer_groups(scores.layers, study.spec.shared_layers)
    for budget in (4.0, 4.5, 5.0, 7.35):
        point = by_recipe["mixed"].points[found.budgets.index(budget)]
        assert point.layer_config == allocate(groups, found.schemes, scores.losses, budget, True)
        assert point.avg_bits <= budget + 1e-9
    for curve in found.curves:
        assert [point.size_bytes for point in curve.points] == sorted(point.size_bytes for point in curve.points)
        edges = [other.predicted - best.predicted for other, best in
                 zip(curve.points, by_recipe["mixed"].points, strict=True)]  # fmt: skip
        assert min(edges) >= -1e-9  # nothing within a budget is predicted better than the exact optimum


def test_measured_rows_stand_beside_with_what_was_predicted_for_them(home: Path, study: StudyRecord) -> None:
    store = Store(home)
    measured = {row.recipe: row for row in curves(store, study).measured}
    assert set(measured) == {"uniform", "head", "tail", "mixed"}
    scores = layer_scores(study.spec)
    for result in store.results(study.id):
        if result.recipe in measured:
            assert measured[result.recipe].predicted == pytest.approx(scores.total(result.layer_config))
            assert result.divergence and measured[result.recipe].kl == result.divergence.kl


def test_all_budgets_of_a_model_take_seconds_not_minutes(home: Path, study: StudyRecord) -> None:
    started = time.process_time()
    assert len(curves(Store(home), study).budgets) == 81
    assert time.process_time() - started < 20  # about one on a quiet core


def test_a_study_without_scores_has_no_curves(home: Path) -> None:
    store = Store(home)
    assert curves_of_studies(store, [add_study(store).id], ()) == []


def test_plan_prints_the_curve_of_a_model_that_was_scored(
    home: Path, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from qcompare.cli.terminal import curve_lines

    with pytest.raises(InvalidStudy, match="run a study whose recipe scores layers"):
        list(curve_lines(Study(), settings))
    finished_study(home)
    head, *lines = curve_lines(Study(), settings)
    assert head.startswith("schemes,scores,recipe,budget")
    assert len(lines) == 3 * 81
    assert any(line.startswith("MXFP4+MXFP8,autoscheme,mixed,5,") for line in lines)


def test_the_explorer_asks_for_the_same_recipes_at_the_chosen_budget() -> None:
    from qcompare.ui.explorer import study_at

    study = Study.model_validate(
        {"recipes": ["bf16", "uniform", {"recipe": "mixed", "avg_bits": 4.5, "title": "M"}, "head"]}
    )
    found = study_at(study, ["MXFP4", "MXFP8"], 5.35)
    assert [recipe.name for recipe in found.recipes] == ["bf16", "mixed", "head"]
    assert found.avg_bits == (5.35,)
    assert json.loads(found.model_dump_json())["recipes"] == ["bf16", "mixed", "head"]
    with pytest.raises(InvalidStudy, match="no recipe of this study"):
        study_at(Study.model_validate({"recipes": ["bf16", "uniform"]}), ["MXFP4", "MXFP8"], 5.0)
