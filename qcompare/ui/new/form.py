"""What the widgets of New study say, and the study it makes. Knows no widget."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import yaml

from qcompare.errors import InvalidStudy
from qcompare.models.sources import resolve
from qcompare.settings import Settings
from qcompare.study.formats import SCHEMES
from qcompare.study.presets import PUBLISHED_BUDGETS, SIZES, Size
from qcompare.study.prompts import from_lines, to_lines
from qcompare.study.reading import parse_study
from qcompare.study.recipe import RECIPES, RecipeSpec, recipe_from_text
from qcompare.study.spec import Study
from qcompare.ui.server.confine import allowed, check_paths
from qcompare.words import gettext_noop

DEMO, HUB, FOLDER = gettext_noop("Demo"), gettext_noop("Hub"), gettext_noop("Folder")
"""Where a model comes from, as offered."""
CUSTOM = gettext_noop("Custom")
"""A number of questions that is none of the ready sizes."""
SLIDER_STEP = 0.05
"""Bits between two budgets of the slider."""


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
    noise_floor: bool = False
    base: str = ""
    """The study that the form was filled with, as JSON: what no widget shows or changes is as in it. Empty: as in a
    study file that says nothing of it."""

    @classmethod
    def like(cls, study: Study, settings: Settings) -> Self:
        """The values that ask for a stored study again."""
        kind = resolve(study.model, settings).kind
        source = {"demo bundle": DEMO, "hub": HUB}.get(kind, FOLDER)
        plain = cls(source, None if source == DEMO else study.model, **_widgets(study))
        try:
            same = plain.study() == study
        except InvalidStudy:  # it names what has gone since
            same = False
        return plain if same else replace(plain, base=study.model_dump_json())

    @property
    def model(self) -> str:
        """What a study calls the model; empty as long as none is named."""
        return "demo" if self.source == DEMO else (self.name or "").strip()

    def study(self) -> Study:
        """The study these values ask for: `base`, with what was changed in the widgets.

        Raises:
            InvalidStudy: one line saying what is wrong.
        """
        if not self.model:
            raise InvalidStudy("no model is named: type its name, or choose the demo")
        base = self._base()
        shown = _widgets(base)
        values = base.model_dump(mode="json") | {"model": self.model, "noise_floor": bool(self.noise_floor)}
        if self.schemes != shown["schemes"]:
            values["schemes"] = self.schemes.split(",")
        if self.budget is None or abs(self.budget - shown["budget"]) > SLIDER_STEP / 2:
            values |= {"avg_bits": [] if self.budget is None else [round(self.budget, 3)], "max_size": None}
        if {*self.tasks} != {*shown["tasks"]}:
            values["tasks"] = self.tasks
        if (self.prompts or "") != shown["prompts"]:
            values["prompts"] = from_lines(self.prompts or "")
        values |= {"limit": None if self.limit is None else int(self.limit), "recipes": self._recipes(base)}
        check_paths(values)
        return parse_study(values, source=None)

    def kept(self) -> tuple[str, ...]:
        """Settings of `base` that no widget shows, as a study file has them: `seed: 7`."""
        if not self.base:
            return ()
        mine = self.study().model_dump(mode="json")
        plain = replace(self, base="").study().model_dump(mode="json")
        return tuple(_line(name, value) for name, value in mine.items() if value != plain[name])

    def _base(self) -> Study:
        if not self.base:
            return Study()
        try:
            values = json.loads(self.base)
        except (ValueError, RecursionError):
            raise InvalidStudy("the copied settings cannot be read: copy them again from History") from None
        check_paths(values)
        return parse_study(values, source=None, stored=True)

    def _recipes(self, base: Study) -> list[Any]:
        """The rows of `base` that are still asked for, with their parameters, and those that were added."""
        kept = [row for row in base.recipes if self._asks_for(row)]
        names, texts = {row.name for row in kept}, {row.as_text for row in kept}
        added: list[str | RecipeSpec] = [
            *(name for name in self.recipes if name not in names),
            *(checkpoint_recipe(text) for text in self.checkpoints if text not in texts),
        ]
        changed = self.fp8_cache != any(row.kv_cache for row in base.recipes)
        return [
            *(self._row(row) if changed else row.model_dump(mode="json") for row in kept),
            *(self._row(each) for each in added),
        ]

    def _asks_for(self, row: RecipeSpec) -> bool:
        if row.as_text:
            return row.as_text in self.checkpoints
        return row.name in self.recipes or not row.offered

    def _row(self, recipe: str | RecipeSpec) -> Any:
        """A recipe as a study names it, with the KV cache that is asked for."""
        kind = RECIPES.get(recipe) if isinstance(recipe, str) else recipe
        if kind is None or kind.is_baseline or kind.served:
            return recipe
        parameters = {} if isinstance(recipe, str) else {**recipe.parameters, "kv_cache": None}
        return {"recipe": kind.name, **parameters} | ({"kv_cache": "fp8"} if self.fp8_cache else {})


def _widgets(study: Study) -> dict[str, Any]:
    """What the widgets show of a study, by the names of `StudyForm`; but for the model."""
    return {
        "schemes": schemes_value(study.schemes),
        "budget": study.avg_bits[0],
        "recipes": [recipe.name for recipe in study.recipes if recipe.offered],
        "tasks": list(study.tasks),
        "limit": study.limit,
        "prompts": to_lines(study.prompts),
        "fp8_cache": any(recipe.kv_cache for recipe in study.recipes),
        "checkpoints": [text for recipe in study.recipes if (text := recipe.as_text)],
        "noise_floor": study.noise_floor,
    }


def _line(name: str, value: Any) -> str:
    dumped = yaml.safe_dump({name: value}, default_flow_style=True, allow_unicode=True, width=10_000)
    return dumped.strip().removeprefix("{").removesuffix("}")


def checkpoint_recipe(name: str) -> RecipeSpec:
    """The row of a model that exists already, as typed.

    Raises:
        InvalidStudy: it cannot be used, or visitors may not name it.
    """
    if not allowed(name):
        raise InvalidStudy("'{name}' lies on the server: upload the file, or name a model of the hub", name=name[:60])
    return recipe_from_text(name)


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
