"""HTML of the screen, from templates that escape everything they are given."""

from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from qcompare.results import numbers, palette
from qcompare.results.render import difference, flips
from qcompare.ui.texts import NO_STUDY

TEMPLATES = Path(__file__).parent / "templates"


def page(name: str, **values: object) -> str:
    """A template of `templates/` filled with values; texts are escaped, whoever wrote them."""
    return _environment().get_template(f"{name}.html").render(**values)


def empty(text: str = "") -> str:
    """What stands where there is nothing yet: why, and the next step. Without a text: there is no study at all."""
    return page("empty", text=text or NO_STUDY, start=not text)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["span"] = numbers.span
    environment.filters["day"] = lambda moment: f"{datetime.fromtimestamp(moment):%d %b %Y %H:%M}"
    for filter_ in (
        *(numbers.score, numbers.percent, numbers.points, numbers.bits, numbers.size, numbers.count, numbers.clock),
        *(
            numbers.about,
            numbers.divergence,
            numbers.probability,
            numbers.count_of,
            palette.colour,
            difference,
            flips,
        ),
    ):
        environment.filters[filter_.__name__] = filter_
    return environment
