"""The log of the chosen job: the page asks for what is new by itself, through addresses of its own beside gradio's.

`log/JOB` is the whole file, to be saved; `?from=OFFSET` gives what came since, `?find=WORD` the lines that hold it.
So a log of any length costs no more than what is new in it.
"""

from collections.abc import Hashable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from qcompare.errors import NotFound
from qcompare.present.job_progress import JobProgress, read_job_progress
from qcompare.store import Store
from qcompare.store.logs import find_lines, in_pieces, read_since
from qcompare.study.records import Status
from qcompare.ui.pages import page
from qcompare.ui.parts import PageState, Panel, live_markup
from qcompare.words import translate


def build_log() -> Panel:
    """Lay out the log in the current page."""
    log = live_markup("log", elem_id="qc-log")
    return Panel("log", [log], _token, _show, live=True)


def chosen_job(rows: Sequence[JobProgress], job_id: str) -> JobProgress | None:
    """The job whose log is shown: the picked one, else a running one, else a failed one, else the last that began."""
    order = (Status.RUNNING, Status.FAILED)
    candidates = [s for s in rows if s.job_id == job_id]
    candidates += [s for status in order for s in rows if s.status is status]
    candidates += [s for s in reversed(rows) if s.elapsed is not None]
    return next(iter(candidates), None)


def _token(state: PageState) -> Hashable:
    chosen = chosen_job(read_job_progress(state.store, state.study_id), state.job_id)
    return chosen and (chosen.job_id, chosen.title)


def _show(state: PageState) -> list[Any]:
    chosen = chosen_job(read_job_progress(state.store, state.study_id), state.job_id)
    if chosen is None:
        return [""]
    if chosen.status.ended and not state.store.folder(chosen.job_id).log.exists():
        return [page("log_gone", title=chosen.title)]
    return [page("log", job=chosen.job_id, title=chosen.title)]


def log_routes(store: Store) -> list[Route]:
    """The addresses of logs, to be served beside the page."""

    def answer(request: Request) -> Response:
        asked = request.query_params
        try:
            log = store.folder(store.job(request.path_params["job"]).id).log
        except NotFound as error:
            return PlainTextResponse(translate(error.message), 404)
        if "find" in asked:
            return JSONResponse(asdict(find_lines(log, asked["find"])))
        if "from" in asked:
            offset = int(asked["from"][:18]) if asked["from"].isdecimal() else 0
            return JSONResponse(asdict(read_since(log, offset)))
        return _whole(log, f"{request.path_params['job']}.log.txt")

    return [Route("/log/{job}", answer)]


def _whole(log: Path, name: str) -> Response:
    size = log.stat().st_size if log.exists() else 0
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(size)}
    pieces = in_pieces(log, size) if size else iter(())
    return StreamingResponse(pieces, headers=headers, media_type="text/plain; charset=utf-8")
