"""A home on a disk that is wiped, and a folder that is not."""

import threading
import time
from pathlib import Path

import pytest

from qcompare.jobs import results_folder
from qcompare.jobs.results_folder import export_continually, export_results, import_results
from qcompare.store import Store
from qcompare.study.spec import Study
from tests.synthetic import add_study, finished_study

SPEC = Study(recipes=("bf16", "uniform"))


def test_results_outlive_the_home(home: Path, tmp_path: Path) -> None:
    study, store, folder = finished_study(home, SPEC), Store(home), tmp_path / "mounted"
    add_study(store, SPEC, name="not finished")
    store.add_study(SPEC, "a visitor's", [("bf16", None)], owner="visitor 1")
    (made,) = export_results(store, folder)
    assert export_results(store, folder) == [] and [path.name for path in folder.iterdir()] == [made.name]
    (folder / "20260101-abcdef.qcompare.zip").write_text("half a file")
    later = Store(tmp_path / "home after a restart")
    assert import_results(later, folder) == [study.id] and import_results(later, folder) == []
    assert later.results(study.id) == store.results(study.id)
    assert not list(folder.glob("*.sqlite"))


def test_studies_are_copied_as_they_finish(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_folder, "LOOK_SECONDS", 0.05)
    stop, folder = threading.Event(), tmp_path / "mounted"
    thread = export_continually(Store(home), folder, stop)
    study = finished_study(home, SPEC)
    end = time.monotonic() + 60
    while not list(folder.glob(f"{study.id}*")) and time.monotonic() < end:
        time.sleep(0.05)
    stop.set()
    thread.join(20)
    assert [path.name for path in folder.glob("*.zip")] == [f"{study.id}.qcompare.zip"]
