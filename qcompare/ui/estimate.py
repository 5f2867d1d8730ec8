"""What a study will cost, for the bar under the cards."""

from dataclasses import dataclass

from qcompare.errors import QCompareError
from qcompare.jobs.plan import Plan, make_plan
from qcompare.settings import Settings
from qcompare.ui.form import Asked, budget_range


@dataclass(frozen=True)
class Estimate:
    """A plan, or the reason why there is none."""

    reach: tuple[float, float]
    """Budgets that can be chosen."""
    budget: float | None
    error: str = ""
    """One line."""
    study_file: str = ""
    plan: Plan | None = None

    @property
    def seconds(self) -> float:
        """Of all jobs, which run one after another."""
        return sum(job.seconds for job in self.plan.jobs) if self.plan else 0.0

    @property
    def where(self) -> str:
        """The device, for people."""
        device = self.plan.device if self.plan else ""
        return "this CPU" if device == "cpu" else device.replace("cuda:", "GPU ").replace("cuda", "this GPU")

    @property
    def memory_bytes(self) -> int:
        """Of the largest job."""
        return max((job.memory_bytes for job in self.plan.jobs), default=0) if self.plan else 0


def estimate(asked: Asked, settings: Settings) -> Estimate:
    """Plan what the widgets ask for; never raises a `QCompareError`."""
    reach = budget_range(asked.schemes)
    try:
        study = asked.study()
    except QCompareError as error:
        return Estimate(reach, asked.budget, str(error))
    try:
        plan = make_plan(study, settings)
    except QCompareError as error:
        return Estimate(reach, asked.budget, str(error), study.to_yaml())
    return Estimate(plan.bit_range, asked.budget, "", study.to_yaml(), plan)
