"""The same documents from Python, the command line, REST and MCP."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from qcompare import Study, compare, result, submit
from qcompare.api import status, verdict_document
from qcompare.compare.fail_on import holds, parse_condition
from qcompare.compare.table import read_comparison
from qcompare.errors import InvalidStudy, NotFound, QCompareError
from qcompare.present.summary import summary, write_summary
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import StudyRecord
from tests.synthetic import add_study, finished_study, run_job

SPEC = Study(recipes=("bf16", "uniform", "mixed"))


@pytest.fixture
def study(home: Path) -> StudyRecord:
    return finished_study(home, SPEC)


def test_a_result_shows_itself(study: StudyRecord, settings: Settings) -> None:
    found = result(study.id[:14], settings)
    assert found.best and found.best.recipe == "mixed" and len(found.rows) == 3
    assert found.verdict.claim in str(found) and "Mixed" in str(found)
    html = found._repr_html_()
    assert "<table" in html and "<style" in html and "<script" not in html
    assert len(found.figures()) == 7
    assert json.loads(found.to_json())["schema_version"] == 1
    with pytest.raises(NotFound):
        result("nothing", settings)


def test_compare_runs_a_study_to_its_end(settings: Settings, tiny_llama: Path) -> None:
    seen = []
    asked = {"model": str(tiny_llama), "recipes": ["bf16"], "tasks": [], "prompts": ["Hi"], "divergence": None}
    found = compare({**asked, "max_new_tokens": 4}, settings, report=seen.append)
    assert found.comparison.status.value == "success" and seen[-1].jobs[0].fraction == 1.0
    again = submit(asked, settings)
    assert again.jobs == (f"{again.study_id}.bf16",)
    with pytest.raises(InvalidStudy, match="recipes"):
        submit({"recipes": []}, settings)


def test_status_says_what_has_changed_since(home: Path) -> None:
    store = Store(home)
    study = add_study(store, SPEC)
    first = status(store, study.id)
    assert len(first.jobs) == 3 and status(store, study.id, first.cursor).jobs == ()
    run_job(store, first.jobs[0].job_id)
    second = status(store, study.id, first.cursor)
    assert [job.job_id for job in second.jobs] == [first.jobs[0].job_id] and second.cursor != first.cursor
    assert len(status(store, study.id, "no cursor of ours").jobs) == 3


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("best < 97% of bf16", True),
        ("best < 10% of bf16", False),
        ("mixed average >= 0.1", True),
        ("uniform kl > 1.5", True),
        ("mixed-5 bits <= 4.9", False),
        ("best size > 50% of bf16", False),
    ],
)
def test_conditions(study: StudyRecord, home: Path, text: str, met: bool) -> None:
    assert holds(parse_condition(text), read_comparison(Store(home), (study.id,))) is met


@pytest.mark.parametrize(
    "text", ["", "best", "best < lots", "best < 97% bf16", "best != 3", "best speed < 3", "a b c < 1"]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(InvalidStudy) as error:
        parse_condition(text)
    assert "\n" not in str(error.value)


def test_conditions_name_rows_that_are_there(study: StudyRecord, home: Path) -> None:
    comparison = read_comparison(Store(home), (study.id,))
    with pytest.raises(InvalidStudy, match="unknown row 'mixd': did you mean 'mixed-5'"):
        holds(parse_condition("mixd < 1"), comparison)


def test_the_summary_of_a_ci_job(
    study: StudyRecord, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = read_comparison(Store(home), (study.id,))
    conditions = {parse_condition(text): met for text, met in (("best < 97% of bf16", True), ("best < 0.1", False))}
    text = summary(comparison, conditions)
    assert text.startswith(f"## {verdict_document(comparison).claim[:20]}")
    assert "❌ fails on `best < 97% of bf16`" in text and "✅ fails on `best < 0.1`" in text and "| Recipe |" in text
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert write_summary(text) is None
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    write_summary(text)
    assert (tmp_path / "summary.md").read_text() == text + "\n"


def test_a_verdict_names_the_choice_of_each_budget(tmp_path: Path) -> None:
    study = finished_study(tmp_path / "budgets", Study(avg_bits=(6.0, 4.5)))
    found = verdict_document(read_comparison(Store(tmp_path / "budgets"), (study.id,)))
    assert [each.avg_bits for each in found.budgets] == [4.5, 6.0]
    assert all(each.ship is None or each.ship.startswith(study.id) for each in found.budgets)
    assert {each.questions for each in found.budgets} == {400}


def test_the_command_line_gives_the_same_documents(study: StudyRecord, home: Path) -> None:
    store = Store(home)

    def said(*words: str) -> dict:  # type: ignore[type-arg]
        done = subprocess.run([sys.executable, "-m", "qcompare", *words], capture_output=True, text=True, check=True)
        return dict(json.loads(done.stdout))

    assert said("status", study.id, "--format", "json") == status(store, study.id).model_dump(mode="json")
    comparison = read_comparison(store, (study.id,))
    assert said("verdict", study.id, "--format", "json") == verdict_document(comparison).model_dump(mode="json")
    assert said("show", study.id, "--format", "json") == json.loads(comparison.model_dump_json())


def test_importing_the_names_loads_no_torch() -> None:
    names = "compare, Study, submit, result"
    code = f"import sys; from qcompare import {names}; print('torch' in sys.modules, callable(compare))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_errors_are_one_line(settings: Settings) -> None:
    with pytest.raises(QCompareError) as error:
        submit(Path("/nowhere/study.yaml"), settings)
    assert "\n" not in str(error.value)
