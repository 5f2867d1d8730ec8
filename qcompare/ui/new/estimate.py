"""What a study will cost, for the bar under the cards."""

from collections.abc import Sequence
from dataclasses import dataclass

from qcompare.errors import QCompareError
from qcompare.models.facts import ModelFacts
from qcompare.models.sources import describe
from qcompare.plan.estimates import Past, history
from qcompare.plan.plan import Plan, plan_for
from qcompare.plan.preflight import Fit, memory_fit, notes, problems
from qcompare.present import numbers
from qcompare.settings import Settings
from qcompare.study.presets import SIZES, Size
from qcompare.study.spec import Study
from qcompare.ui.devices import device_title
from qcompare.ui.new.form import StudyForm, budget_range
from qcompare.ui.new.reach import Reach, read_reach
from qcompare.words import gettext, translate


@dataclass(frozen=True)
class SizeTime:
    """A ready size, and how long it takes here."""

    size: Size
    seconds: float | None
    """The same estimate as below the cards; None until there is a plan."""


UNTIMED = tuple(SizeTime(size, None) for size in SIZES)


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
    fits: str = ""
    """Whether the memory suffices, in words."""
    sizes: tuple[SizeTime, ...] = UNTIMED
    """The ready sizes for this model and these recipes."""
    noise_seconds: float | None = None
    """What measuring numerical noise takes, or would take; None until there is a plan."""
    sizes_reached: Reach | None = None
    """The model's size at each budget; None until there is a plan."""
    kept: tuple[str, ...] = ()
    """Settings that no widget shows, from the study that the form was filled with: `seed: 7`."""
    hint: str = ""
    """What is still to be filled in, where nothing is wrong yet."""

    @property
    def where(self) -> str:
        """The device, for people."""
        device = self.plan.device if self.plan else "cpu"
        return gettext("this CPU") if device == "cpu" else device_title(device)


def estimate(asked: StudyForm, settings: Settings) -> Estimate:
    """Plan what the widgets ask for; never raises a `QCompareError`."""
    reach = budget_range(asked.schemes)
    if not asked.model:
        return Estimate(reach, asked.budget, hint=gettext("Name a model to see time, memory and disk."))
    try:
        study = asked.study()
    except QCompareError as error:
        return Estimate(reach, asked.budget, translate(error.message))
    try:
        facts = describe(study.model, settings)
        past = history(facts, settings)
        plan = plan_for(facts, study, settings, past)
    except QCompareError as error:
        return Estimate(reach, asked.budget, translate(error.message), study.to_yaml())
    shortage = translate(next(problems(plan, settings), ""))
    tight = tuple(map(translate, notes(plan, settings)))
    sizes = tuple(_timed(size, facts, study, settings, past) for size in SIZES)
    return Estimate(
        plan.bit_range, asked.budget, "", study.to_yaml(), plan, shortage, tight, _fits(plan), sizes,
        _noise_seconds(plan, facts, study, settings, past), read_reach(facts, study, plan.bit_range), asked.kept(),
    )  # fmt: skip


def _noise_seconds(plan: Plan, facts: ModelFacts, study: Study, settings: Settings, past: Sequence[Past]) -> float:
    """What measuring numerical noise adds, by the study's plan and that of the same study the other way."""
    other = plan_for(facts, study.model_copy(update={"noise_floor": not study.noise_floor}), settings, past)
    added = other.seconds.likely - plan.seconds.likely
    return -added if study.noise_floor else added


def _fits(plan: Plan) -> str:
    fit, device = memory_fit(plan)
    need = plan.memory_bytes
    low, high, has = numbers.size(need.low), numbers.size(need.high), numbers.size(device.total_bytes)
    return {
        Fit.YES: gettext("Yes, up to {high} of {has}", high=high, has=has),
        Fit.PERHAPS: gettext("Perhaps, {low} to {high} of {has}", low=low, high=high, has=has),
        Fit.NO: gettext("No, at least {low} of {has}", low=low, has=has),
    }[fit]


def _timed(size: Size, facts: ModelFacts, study: Study, settings: Settings, past: Sequence[Past]) -> SizeTime:
    plan = plan_for(facts, study.model_copy(update={"tasks": size.tasks, "limit": size.limit}), settings, past)
    return SizeTime(size, plan.seconds.likely)
