"""HTML of the screen, from templates that escape everything they are given."""

from functools import cache
from pathlib import Path

from jinja2 import Environment

from qcompare.present import numbers
from qcompare.present.html import environment
from qcompare.ui.texts import NO_STUDY
from qcompare.words import gettext

TEMPLATES = Path(__file__).parent / "templates"


def page(name: str, **values: object) -> str:
    """A template of `templates/` filled with values; texts are escaped, whoever wrote them."""
    return _environment().get_template(f"{name}.html").render(**values)


def empty(text: str = "") -> str:
    """What stands where there is nothing yet: why, and the next step. Without a text: there is no study at all."""
    return page("empty", text=text or gettext(NO_STUDY), start=not text)


def opening() -> str:
    """What stands until a page knows what it shows."""
    return empty(gettext("Opening …"))


@cache
def _environment() -> Environment:
    found = environment(TEMPLATES)
    found.globals["span"] = numbers.span
    found.filters["day"] = numbers.day
    return found
