"""The figures of the results, drawn in the browser (`plots.js`) by the part of Plotly that reports carry too."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qcompare.compare.selection import read_selection
from qcompare.errors import QCompareError
from qcompare.present.figures import figures, figures_html
from qcompare.present.packed import PLOTLY, plotly_version
from qcompare.ui.parts import PageState, Panel, answer_states, comparison_of, markup

SCRIPT = "plotly.js"


def build_figures() -> Panel:
    """Lay out the figures in the current page."""
    address = f"{SCRIPT}?v={plotly_version()}"
    drawn = markup(elem_id="qc-plots", js_on_load=f"window.qcomparePlots.watch(element, '{address}');")
    return Panel("figures", [drawn], answer_states, _show, group="figures", later=True)


def plotly_routes() -> list[Route]:
    """Plotly's script, to be served beside the page."""
    headers = {"Content-Encoding": "gzip", "Cache-Control": "max-age=31536000, immutable"}

    def answer(request: Request) -> Response:
        return Response(PLOTLY.read_bytes(), media_type="text/javascript", headers=headers)

    return [Route(f"/{SCRIPT}", answer)]


def _show(state: PageState) -> list[str]:
    """The figures, which take longer than the words and the table."""
    if not state.study_ids:
        return [""]
    try:
        selection = read_selection(state.store, state.study_ids)
        return [figures_html(figures(state.store, comparison_of(state), selection))]
    except QCompareError:  # the words say why there is nothing
        return [""]
