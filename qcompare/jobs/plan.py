"""From a study to its jobs, before anything runs: what each will be, and what it will cost."""

from dataclasses import dataclass

from qcompare.models.facts import ModelFacts
from qcompare.settings import Settings
from qcompare.study.records import Bits
from qcompare.study.spec import Study


@dataclass(frozen=True)
class PlannedJob:
    """One recipe at one budget."""

    recipe: str
    avg_bits: float | None
    bits: Bits | None
    """None where only the run can tell (mixed recipes)."""
    size_bytes: int | None
    memory_bytes: int
    """Estimated peak."""
    seconds: float
    """Estimated duration."""


@dataclass(frozen=True)
class Plan:
    """What a study will do."""

    facts: ModelFacts
    bit_range: tuple[float, float]
    """Lowest and highest reachable budget, in the study's counting."""
    jobs: tuple[PlannedJob, ...]
    questions: int
    """Questions every recipe answers."""
    disk_bytes: int
    device: str
    basis: str
    """Where the estimates come from, in words."""


def make_plan(study: Study, settings: Settings) -> Plan:
    """Check a study against its model and lay out its jobs.

    Raises:
        QCompareError: the model is not to be had, or a budget is out of reach.
    """
    raise NotImplementedError
