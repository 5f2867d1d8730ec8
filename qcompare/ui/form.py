"""What the widgets of New study say, and the study it makes. Knows no widget."""

from dataclasses import dataclass

from qcompare.errors import InvalidStudy
from qcompare.study.presets import PUBLISHED_BUDGETS, SCHEME_PAIRS, SCHEMES, SIZES, Size
from qcompare.study.spec import Study, parse_study

DEMO, HUB, FOLDER = "Demo", "Hub", "Folder"
"""Where a model comes from, as offered."""
CUSTOM = "Custom"
"""A number of questions that is none of the ready sizes."""


@dataclass(frozen=True)
class Asked:
    """The values of the widgets, in the order in which they are handed over."""

    source: str
    name: str | None
    pair: str
    """`low,high`: a choice of a radio must be a string."""
    budget: float | None
    recipes: list[str]
    tasks: list[str]
    limit: float | None
    prompts: str | None

    def study(self) -> Study:
        """The study these values ask for.

        Raises:
            InvalidStudy: one line saying what is wrong.
        """
        model = "demo" if self.source == DEMO else (self.name or "").strip()
        if not model:
            raise InvalidStudy("no model is named: type its name, or choose the demo")
        values = {
            "model": model,
            "schemes": self.pair.split(","),
            "avg_bits": [] if self.budget is None else [round(self.budget, 3)],
            "recipes": self.recipes,
            "tasks": self.tasks,
            "limit": None if self.limit is None else int(self.limit),
            "prompts": [line.strip() for line in (self.prompts or "").splitlines() if line.strip()],
        }
        try:
            return parse_study(values, "study")
        except InvalidStudy as error:
            # There is no file whose name would help.
            raise InvalidStudy(str(error).removeprefix("study: ")) from None


def size_named(name: str) -> Size | None:
    """A ready size by its name; None for `CUSTOM`."""
    return next((size for size in SIZES if size.name == name), None)


def size_of(tasks: list[str], limit: float | None) -> str:
    """The name of the ready size that asks just this; else `CUSTOM`."""
    asked = (set(tasks), None if limit is None else int(limit))
    return next((size.name for size in SIZES if (set(size.tasks), size.limit) == asked), CUSTOM)


def budget_range(pair: str) -> tuple[float, float]:
    """Bits between which budgets of a scheme pair lie, scales not counted, before the model is known."""
    low, high = pair.split(",")
    return float(SCHEMES[low].bits), float(SCHEMES[high].bits)


def published_budgets(reach: tuple[float, float]) -> list[float]:
    """The budgets of the published tables within reach."""
    return [bits for bits in PUBLISHED_BUDGETS if reach[0] <= bits <= reach[1]]


def pair_value(pair: tuple[str, str]) -> str:
    """A scheme pair as the value of a choice."""
    return ",".join(pair)


DEFAULT_PAIR = pair_value(SCHEME_PAIRS[0])
