"""A few runs of the fault drill; `benchmarks.fault_drill` does all thirty, and with real jobs."""

import os

import pytest

from benchmarks.fault_drill import faults, run, undisturbed
from benchmarks.faults import FAULTS, OTHER_FAULTS
from tests.jobs import standin


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    standin.use(monkeypatch)


def test_the_drill_does_every_fault() -> None:
    assert len(faults(30)) == 30
    assert set(faults(30)) == {*FAULTS, *OTHER_FAULTS}


@pytest.mark.parametrize("fault", ["both", "damage"])
def test_after_a_fault_the_study_is_complete_with_the_same_scores(fault: str) -> None:
    run(fault, 7, None, undisturbed(None))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="a full disk needs one of its own: root")
def test_after_a_full_disk_the_study_is_complete_with_the_same_scores() -> None:
    run("disk", 7, None, undisturbed(None))
