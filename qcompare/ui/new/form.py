"""What the widgets of New study say, and the study it makes. Knows no widget."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from qcompare.errors import InvalidStudy
from qcompare.models.sources import resolve
from qcompare.settings import Settings
from qcompare.study.formats import SCHEMES
from qcompare.study.presets import PUBLISHED_BUDGETS, SIZES, Size
from qcompare.study.prompts import from_lines, to_lines
from qcompare.study.reading import parse_study
from qcompare.study.recipe import RECIPES, RecipeSpec, recipe_from_text
from qcompare.study.spec import Study
from qcompare.words import gettext_noop

DEMO, HUB, FOLDER = gettext_noop("Demo"), gettext_noop("Hub"), gettext_noop("Folder")
"""Where a model comes from, as offered."""
CUSTOM = gettext_noop("Custom")
"""A number of questions that is none of the ready sizes."""


@dataclass(frozen=True)
class StudyForm:
    """The values of the widgets, in the order in which they are handed over."""

    source: str
    name: str | None
    schemes: str
    """Names with commas between, lowest first: a choice of a radio must be a string."""
    budget: float | None
    recipes: list[str]
    tasks: list[str]
    limit: float | None
    prompts: str | None
    fp8_cache: bool = False
    """An FP8 KV cache for every row but the baseline and servers."""
    checkpoints: list[str] = field(default_factory=list)
    """Models that exist already, as typed: checkpoints, and servers by their address."""

    @classmethod
    def like(cls, study: Study, settings: Settings) -> Self:
        """The values that ask for a stored study again."""
        kind = resolve(study.model, settings).kind
        source = {"demo bundle": DEMO, "hub": HUB}.get(kind, FOLDER)
        return cls(
            source=source,
            name=None if source == DEMO else study.model,
            schemes=",".join(study.schemes),
            budget=study.avg_bits[0],
            recipes=[recipe.name for recipe in study.recipes if recipe.offered],
            tasks=list(study.tasks),
            limit=study.limit,
            prompts=to_lines(study.prompts),
            fp8_cache=any(recipe.kv_cache for recipe in study.recipes),
            checkpoints=[text for recipe in study.recipes if (text := recipe.as_text)],
        )

    @property
    def model(self) -> str:
        """What a study calls the model; empty as long as none is named."""
        return "demo" if self.source == DEMO else (self.name or "").strip()

    def study(self) -> Study:
        """The study these values ask for.

        Raises:
            InvalidStudy: one line saying what is wrong.
        """
        if not self.model:
            raise InvalidStudy("no model is named: type its name, or choose the demo")
        values = {
            "model": self.model,
            "schemes": self.schemes.split(","),
            "avg_bits": [] if self.budget is None else [round(self.budget, 3)],
            "recipes": [
                *(self._row(name) for name in self.recipes),
                *(self._row(recipe_from_text(each)) for each in self.checkpoints),
            ],
            "tasks": self.tasks,
            "limit": None if self.limit is None else int(self.limit),
            "prompts": from_lines(self.prompts or ""),
        }
        return parse_study(values, source=None)

    def _row(self, recipe: str | RecipeSpec) -> Any:
        """A recipe as a study names it, with the KV cache that is asked for."""
        kind = RECIPES.get(recipe) if isinstance(recipe, str) else recipe
        if not self.fp8_cache or kind is None or kind.is_baseline or kind.served:
            return recipe
        parameters = {} if isinstance(recipe, str) else recipe.parameters
        return {"recipe": kind.name, **parameters, "kv_cache": "fp8"}


def size_named(name: str) -> Size | None:
    """A ready size by its name; None for `CUSTOM`."""
    return next((size for size in SIZES if size.name == name), None)


def size_of(tasks: list[str], limit: float | None) -> str:
    """The name of the ready size that asks just this; else `CUSTOM`."""
    asked = (set(tasks), None if limit is None else int(limit))
    return next((size.name for size in SIZES if (set(size.tasks), size.limit) == asked), CUSTOM)


def budget_range(schemes: str) -> tuple[float, float]:
    """Bits between which budgets lie, scales not counted, before the model is known."""
    names = schemes.split(",")
    return float(SCHEMES[names[0]].bits), float(SCHEMES[names[-1]].bits)


def budget_within(schemes: str, budget: float | None) -> float:
    """The budget where these schemes reach it; else the published one nearest to the middle of their range."""
    low, high = budget_range(schemes)
    if budget is not None and low <= budget <= high:
        return budget
    middle = (low + high) / 2
    return min(published_budgets((low, high)) or [middle], key=lambda bits: abs(bits - middle))


def published_budgets(reach: tuple[float, float]) -> list[float]:
    """The budgets of the published tables within reach."""
    return [bits for bits in PUBLISHED_BUDGETS if reach[0] <= bits <= reach[1]]


def schemes_value(schemes: Sequence[str]) -> str:
    """Schemes as the value of a choice."""
    return ",".join(schemes)


DEFAULT_SCHEMES = schemes_value(Study().schemes)
