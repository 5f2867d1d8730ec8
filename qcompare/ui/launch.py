"""Start the app's server."""

import os
import threading
from collections.abc import Callable
from typing import Any

# Read when gradio is imported: no usage reports, no version check.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# Gradio sums up so many past events anew after each one.
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "50")

from fastapi.middleware import Middleware

from qcompare.jobs.executors.background import watch_over
from qcompare.jobs.results_folder import export_continually, import_results
from qcompare.present.report import SCRIPTS, STYLE
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.ui.app import build_app
from qcompare.ui.assets import ICON, read_asset
from qcompare.ui.language import Listening, SpeakingBlocks, name_language_in_page
from qcompare.ui.progress.logs import log_routes
from qcompare.ui.recording import open_recordings
from qcompare.ui.results.figures import plotly_routes
from qcompare.ui.results.slides import slides_routes
from qcompare.ui.server.connections import close_silent_connections
from qcompare.ui.server.gate import Gate
from qcompare.ui.server.identity import Identity
from qcompare.ui.server.login import login_routes
from qcompare.ui.server.mcp import mcp_routes
from qcompare.ui.server.ports import free_ports, why_not
from qcompare.ui.server.pwa import pwa_head, pwa_routes
from qcompare.ui.server.rest import rest_routes
from qcompare.ui.server.roles import OF_SPACE, on_space, role_of
from qcompare.ui.server.tools import make_tools
from qcompare.ui.theme import make_theme
from qcompare.ui.updates import updates_routes

OWN_SCRIPTS = (
    *("page.js", "log.js", "blind.js", "table.js", "path.js", "tour.js", "explorer.js", "present.js"),
    *("share_card.js", "busy.js", "updates.js"),
)
QUEUE_SECONDS = 0.05
"""Between two looks of gradio's queue for a new event: short for a person, long for a processor."""
SESSIONS = 500
"""Pages whose state gradio keeps, 0.4 MB each: those that were used last."""


def _warm_up() -> None:
    """Load what the first results page needs before a visitor asks for it."""
    import pandas  # noqa: F401
    import plotly.graph_objects  # noqa: F401
    import scipy.special  # noqa: F401


def _scripts() -> str:
    return "".join([*map(read_asset, OWN_SCRIPTS), *(path.read_text(encoding="utf-8") for path in SCRIPTS)])


def server_kwargs(settings: Settings, app: SpeakingBlocks) -> dict[str, Any]:
    """What gradio's web application is made with: what stands before its addresses, and addresses of our own."""
    store = app.store
    identity, tools = Identity(settings, app.role), make_tools(settings, store)
    own = [*login_routes(identity), *log_routes(store), *updates_routes(store, app.panels)]
    own += [*slides_routes(store), *plotly_routes(), *pwa_routes()]
    return {
        "middleware": [Middleware(Gate, settings=settings, identity=identity), Middleware(Listening)],
        "routes": [*own, *rest_routes(tools), *mcp_routes(tools)],
    }


def launch(settings: Settings, opened: Callable[[str, int], None] = lambda address, port: None) -> None:
    """Build the app and serve it until interrupted.

    Args:
        opened: called once the app answers, with its address and port.

    Raises:
        QCompareError: the port is taken, or others could reach the app and no role says what they may do.
    """
    role_of(settings)  # refuses before anything is done
    if settings.results_dir:
        import_results(Store(settings.home), settings.results_dir)
        export_continually(Store(settings.home), settings.results_dir)
    if settings.recording:
        open_recordings(Store(settings.home))
    threading.Thread(target=_warm_up, daemon=True).start()
    app = build_app(settings)
    name_language_in_page()
    watch_over(settings)
    close_silent_connections()
    address, port = _listen(app, settings, server_kwargs(settings, app))
    for pace in ("sleep_when_free", "progress_update_sleep_when_free"):  # a thousand looks a second otherwise
        setattr(app._queue, pace, QUEUE_SECONDS)
    app._queue.pending_messages_per_session.max_size = SESSIONS
    opened(address, port)
    print(f"qcompare is open at {address}", flush=True)
    app.block_thread()


def _listen(app: SpeakingBlocks, settings: Settings, kwargs: dict[str, Any]) -> tuple[str, int]:
    """Let the app listen on the first port that no other process takes in this moment; gives address and port."""
    host = OF_SPACE if on_space() else settings.host.strip("[]")
    for port in free_ports(settings):
        try:
            _, address, _ = app.launch(
                server_name=f"[{host}]" if ":" in host else host,
                server_port=port,
                share=False,  # whatever GRADIO_SHARE says
                prevent_thread_lock=True,
                quiet=True,
                theme=make_theme(),
                css=STYLE.read_text(encoding="utf-8") + read_asset("style.css"),
                head=f"{pwa_head()}<script>{_scripts()}</script>",
                favicon_path=str(ICON),
                max_file_size=settings.upload_mb * 1_000_000,
                pwa=True,
                run_history=False,
                state_session_capacity=SESSIONS,
                ssr_mode=False,
                footer_links=[],
                app_kwargs=kwargs,
            )
        except OSError:
            if why_not(host, port) is None:
                raise
        else:
            return str(address), port
    raise AssertionError("the ports end with an error")
