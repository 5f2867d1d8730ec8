"""Presenter mode: the slides of a study at an address of their own; `present.js` shows them over the page."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from qcompare.errors import NotFound, QCompareError
from qcompare.present.slides import slides
from qcompare.store import Store
from qcompare.study.ids import parse_ids
from qcompare.ui.parts import DRAWN, PageState, comparison_of, shown_version
from qcompare.words import translate

THEMES = ("light", "dark")


def slides_routes(store: Store) -> list[Route]:
    """`slides?study=ID&theme=dark`, to be served beside the page."""

    def answer(request: Request) -> Response:
        asked = request.query_params
        theme = asked.get("theme", "")
        try:
            state = PageState(store, parse_ids(asked.get("study", "")), "")
            return HTMLResponse(_slides(state, theme if theme in THEMES else ""))
        except NotFound as error:
            return PlainTextResponse(translate(error.message), 404)
        except QCompareError as error:
            return PlainTextResponse(translate(error.message), 422)

    return [Route("/slides", answer)]


def _slides(state: PageState, theme: str) -> str:
    comparison = comparison_of(state)
    return DRAWN.answer(("slides", theme, shown_version(state)), lambda: slides(state.store, comparison, theme))
