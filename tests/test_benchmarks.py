"""Tables of the benchmarks: a new run takes the place of the last, and leaves the others alone."""

from pathlib import Path

import pytest

from benchmarks import report as reporting
from benchmarks.report import report


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "RESULTS.md"
    path.write_text("# Measured\n", encoding="utf-8")
    monkeypatch.setattr(reporting, "RESULTS", path)
    return path


def test_a_table_stands_with_its_conditions(results: Path) -> None:
    report("speed", "Speed", [{"task": "piqa", "ratio": 2.345, "same": True, "batch": None}], ["two runs"])
    text = results.read_text(encoding="utf-8")
    assert "| task | ratio | same | batch |" in text
    assert "| piqa | 2.35 | yes |  |" in text
    assert "- two runs" in text
    assert "python -m benchmarks.speed" in text and "torch" in text


def test_a_new_run_replaces_its_own_table_only(results: Path) -> None:
    for name, value in [("speed", 1), ("size", 2), ("speed", 3)]:
        report(name, name, [{"n": value}])
    text = results.read_text(encoding="utf-8")
    assert "| 1 |" not in text
    assert "| 2 |" in text and "| 3 |" in text
    assert text.count("## speed") == 1
