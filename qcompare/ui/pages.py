"""HTML of the screen, from templates that escape everything they are given."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from qcompare.results import numbers, palette
from qcompare.results.render import difference

TEMPLATES = Path(__file__).parent / "templates"


def page(name: str, **values: object) -> str:
    """A template of `templates/` filled with values; texts are escaped, whoever wrote them."""
    return inert(_environment().get_template(f"{name}.html").render(**values))


def inert(html: str) -> str:
    """HTML in which the template language of gradio's HTML component finds nothing to run.

    gradio evaluates `${…}` and `{{…}}` in the browser; a model may well answer with either.
    """
    return html.replace("{", "&#123;").replace("$", "&#36;")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for filter_ in (
        *(numbers.score, numbers.percent, numbers.points, numbers.bits, numbers.size, numbers.count, numbers.clock),
        *(numbers.about, palette.colour, difference),
    ):
        environment.filters[filter_.__name__] = filter_
    return environment
