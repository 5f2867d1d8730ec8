"""What has changed for an open page: an address of its own beside gradio's, which `updates.js` asks every second.

`updates?study=ID&job=ID&PANEL=VERSION` gives a stamp of all panels that seldom change, and the HTML of those live
panels that are no longer as in the version named. Gradio takes ten times as long for the same answer, and every
open page asks.
"""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from qcompare.errors import NotFound
from qcompare.store import Store
from qcompare.ui.parts import PageState, Panel, page_state, shown_by


def updates_routes(store: Store, panels: Sequence[Panel]) -> list[Route]:
    """The address of updates, to be served beside the page."""
    live = [panel for panel in panels if panel.live]
    seldom = [panel for panel in panels if not panel.live]

    def answer(request: Request) -> JSONResponse:
        asked = request.query_params
        state = page_state(store, asked.get("study"), asked.get("job"))
        if state is None:
            return JSONResponse({"stamp": "", "live": {}})
        found = {panel.name: _drawn(panel, state, asked[panel.name]) for panel in live if panel.name in asked}
        changed = {name: drawn for name, drawn in found.items() if drawn}
        return JSONResponse({"stamp": _stamp(seldom, state), "live": changed})

    return [Route("/updates", answer)]


def _stamp(panels: Sequence[Panel], state: PageState) -> str:
    """Another one whenever a panel would show something else; empty: a study was deleted in this moment."""
    try:
        return _version(tuple(panel.token(state) for panel in panels))
    except NotFound:
        return ""


def _drawn(panel: Panel, state: PageState, known: str) -> dict[str, Any] | None:
    """A panel's HTML with its version; None where the page has that version."""
    try:
        token = panel.token(state)
        version = _version(token)
        return None if version == known else {"version": version, "html": shown_by(panel, state, token)[0]}
    except NotFound:  # deleted in this moment
        return None


def _version(token: object) -> str:
    return f"{hash(token):x}"
