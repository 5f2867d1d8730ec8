"""The settings in which studies differ."""

from pathlib import Path

import pytest

from qcompare.compare.settings_diff import read_settings_diff
from qcompare.errors import QCompareError
from qcompare.present.settings_diff import settings_diff_html, settings_diff_lines
from qcompare.store import Store
from qcompare.study.spec import Calibration, Study
from tests.synthetic import ENVIRONMENT, add_study, finish_job


def finished(store: Store, spec: Study, **environment: object) -> str:
    study = add_study(store, spec)
    for job in store.jobs(study.id):
        finish_job(store, study, job.id, environment=ENVIRONMENT.model_copy(update=environment))
    return study.id


def values(store: Store, *ids: str) -> dict[str, tuple[str | None, ...]]:
    return {each.name: each.values for each in read_settings_diff(store, ids).differences}


def test_only_settings_that_differ_are_given_as_a_study_file_has_them(home: Path) -> None:
    store = Store(home)
    ours = finished(store, Study(recipes=("bf16",)))
    other = Study(recipes=("bf16",), limit=None, calibration=Calibration(num_samples=8), divergence=None)
    theirs = finished(
        store, other, dtype="bfloat16", libraries={"torch": "2.14.0", "auto-round": "0.15.1", "gguf": "1"}
    )
    assert values(store, ours, ours) == {}
    assert values(store, ours, theirs) == {
        "limit": ("100", "null"),
        "calibration.num_samples": ("16", "8"),
        "divergence": ("{max_seq_length: 256, num_samples: 16, text: auto}", "null"),
        "dtype": ("float32", "bfloat16"),
        "torch": ("2.13.0", "2.14.0"),
        "gguf": (None, "1"),
    }


def test_rows_of_one_study_on_two_machines_are_both_named(home: Path) -> None:
    store = Store(home)
    ours = finished(store, Study(recipes=("bf16",)))
    study = add_study(store, Study(recipes=("bf16", "uniform")))
    for job, name in zip(store.jobs(study.id), ("a CPU", "a GPU"), strict=True):
        finish_job(store, study, job.id, environment=ENVIRONMENT.model_copy(update={"device_name": name}))
    assert values(store, ours, study.id)["device_name"] == ("a CPU", "a CPU, a GPU")


def test_machines_are_not_compared_with_a_study_that_has_no_result(home: Path) -> None:
    store = Store(home)
    ours, theirs = finished(store, Study(recipes=("bf16",))), add_study(store, Study(recipes=("bf16",), seed=7)).id
    assert values(store, ours, theirs) == {"seed": ("42", "7")}


def test_a_table_and_lines_hold_every_value_escaped(home: Path) -> None:
    store = Store(home)
    ids = [add_study(store, Study(prompts=(text,)), name="<i>").id for text in ("<b>", "two")]
    found = read_settings_diff(store, tuple(ids))
    assert "&lt;b&gt;" in settings_diff_html(found) and "<i>" not in settings_diff_html(found)
    assert settings_diff_lines(found)[1:] == ["  prompts", f"    {ids[0]}  [<b>]", f"    {ids[1]}  [two]"]
    same = read_settings_diff(store, (ids[0],))
    assert settings_diff_lines(same) == ["Settings that differ: none."]
    with pytest.raises(QCompareError, match="too many"):
        read_settings_diff(store, tuple(add_study(store).id for _ in range(13)))
