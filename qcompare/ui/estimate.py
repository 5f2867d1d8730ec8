"""What a study will cost, for the bar under the cards."""

from dataclasses import dataclass

from qcompare.errors import QCompareError
from qcompare.jobs.plan import Plan, make_plan
from qcompare.jobs.preflight import notes, problems
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
    shortage: str = ""
    """Why it cannot fit this machine: numbers, and what would fit."""
    notes: tuple[str, ...] = ()
    """What will be tight."""

    @property
    def where(self) -> str:
        """The device, for people."""
        device = self.plan.device if self.plan else ""
        return "this CPU" if device == "cpu" else device.replace("cuda:", "GPU ").replace("cuda", "this GPU")


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
    shortage = next(problems(plan, settings), "")
    return Estimate(plan.bit_range, asked.budget, "", study.to_yaml(), plan, shortage, tuple(notes(plan)))
