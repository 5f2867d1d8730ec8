"""The language of a visitor: the address (`?lang=zh`) or the browser says it; page, handlers, gradio's texts follow.

Widgets are built once in every language, with the same numbers, so that one set of handlers serves them all.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.context import Context
from gradio.routes import templates
from jinja2 import ChoiceLoader, DictLoader
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from qcompare.ui.parts import Panel
from qcompare.ui.server.gate import visitor_of
from qcompare.ui.server.handlers import InvalidInput, checked_input, refused
from qcompare.ui.server.roles import NOBODY, OWNER, Role, require, use_visitor, visitor
from qcompare.ui.shared import SharedStore
from qcompare.words import ENGLISH, LANGUAGES, language, preferred, use_language

PAGE = "frontend/index.html"
TELL = (
    '<head><script>Object.defineProperty(navigator, "language", {value: "{{ config.language }}"});'
    'document.documentElement.dataset.rights = "{{ config.rights }}"</script>'
)
"""Gradio's own script takes its language from here, and sets that of the page; `style.css` hides what needs other
rights."""


class SpeakingBlocks(gr.Blocks):  # type: ignore[misc]
    """Blocks that are served in the language of each request, and whose handlers check the visitor's rights."""

    role: Role = Role.LOCAL
    store: SharedStore
    """What all browsers of this app look at."""
    panels: Sequence[Panel] = ()
    """What follows the store, for `updates_routes`."""

    components_in: dict[str, list[Any]] = {}  # noqa: RUF012  filled by `in_all_languages`, for one object
    """The widgets in other languages than English."""

    @property
    def config(self) -> Any:
        """What the browser builds the page from."""
        english = self._english
        components = self.components_in.get(language(), english["components"])
        own = {"language": LANGUAGES[language()], "rights": " ".join(sorted(visitor().rights))}
        # without its name gradio's page adds no header of the hub's, with fonts from elsewhere
        return english | own | {"components": components, "space_id": None}

    @config.setter
    def config(self, value: Any) -> None:
        self._english = value

    async def process_api(
        self, block_fn: Any, *args: Any, request: Any = None, event_data: Any = None, **options: Any
    ) -> Any:
        """Run a handler: those that wait in the queue know their request, but run outside of it."""
        if event_data is not None and not isinstance(event_data._data, dict):
            event_data._data = {}  # then what it lacks is missed by name
        known = OWNER if self.role is Role.LOCAL else NOBODY
        who = (visitor_of(request) if request else None) or known
        with use_language(language_of(request) if request else ENGLISH), use_visitor(who):
            try:
                if needed := getattr(getattr(block_fn, "fn", None), "right", None):
                    require(needed)
                return await super().process_api(block_fn, *args, request=request, event_data=event_data, **options)
            except Exception as error:
                told = refused(error, request)
                if told is error:
                    raise
                raise told from None

    async def preprocess_data(self, block_fn: Any, *args: Any, **options: Any) -> Any:
        """From what a page has sent to a handler's arguments. A field is a text, whatever was sent."""
        try:
            found = await super().preprocess_data(block_fn, *args, **options)
        except Exception:
            raise InvalidInput() from None  # what gradio says of it names folders of the server
        return [checked_input(*pair) for pair in zip(block_fn.inputs, found, strict=True)]


def in_all_languages(build: Callable[[], SpeakingBlocks]) -> SpeakingBlocks:
    """Build the screen once in every language; gives the English one, which knows the others' widgets."""
    first, english = Context.id, build()
    english.components_in = {}
    for name in LANGUAGES:
        if name != ENGLISH:
            Context.id = first  # the same numbers for the same widgets
            with use_language(name):
                english.components_in[name] = build().config["components"]
    return english


def language_of(request: Any) -> str:
    """The language of a request, starlette's or gradio's. The browser hands the page's address on with each event."""
    return preferred(request.query_params.get("lang"), request.headers.get("accept-language") or "")


class Listening:
    """Middleware: whatever is answered to a request is said in its language."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI asks."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        with use_language(language_of(HTTPConnection(scope))):
            await self.app(scope, receive, send)


def name_language_in_page() -> None:
    """Let gradio's page name the language it is in before its script runs."""
    env = templates.env
    assert env.loader is not None
    source = env.loader.get_source(env, PAGE)[0].replace('lang="en"', 'lang="{{ config.language }}"', 1)
    source = source.replace('href="/manifest.json"', 'href="manifest.json"', 1)  # also below a proxy's path
    env.loader = ChoiceLoader([DictLoader({PAGE: source.replace("<head>", TELL, 1)}), env.loader])
