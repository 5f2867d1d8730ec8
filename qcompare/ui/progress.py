"""Progress: one line a recipe, and the log of the chosen one."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from qcompare.errors import NotFound
from qcompare.results.standing import Standing, overview, read_standings
from qcompare.results.table import Row, compare
from qcompare.study.records import Status
from qcompare.ui.pages import empty, page
from qcompare.ui.parts import Part, Place, markup, study_exists

LOG_BYTES = 16_000
"""Of a log's end that are shown: long texts have stalled browsers."""
PICK_JOB = """
element.addEventListener('click', (event) => {
  const row = event.target.closest('[data-job]');
  if (row) trigger('pick', {job: row.dataset.job});
});
"""


@dataclass(frozen=True)
class ProgressTab:
    """The components that others listen to."""

    rows: gr.HTML
    part: Part


def build_progress() -> ProgressTab:
    """Lay out the tab in the current page."""
    rows = markup(empty(), js_on_load=PICK_JOB, elem_id="qc-rows")
    log = markup(elem_id="qc-log")
    return ProgressTab(rows, Part("progress", [rows, log], _token, _show))


def picked_job(event: gr.EventData) -> str:
    """The id of the job whose row was clicked."""
    return str(event.job)


def chosen_job(standings: Sequence[Standing], job_id: str) -> Standing | None:
    """The job whose log is shown: the picked one, else a running one, else a failed one, else the last that began."""
    order = (Status.RUNNING, Status.FAILED)
    candidates = [s for s in standings if s.job_id == job_id]
    candidates += [s for status in order for s in standings if s.status is status]
    candidates += [s for s in reversed(standings) if s.elapsed is not None]
    return next(iter(candidates), None)


def _token(place: Place) -> Hashable:
    if not study_exists(place):
        return place.study_id
    standings = read_standings(place.store, place.study_id)
    chosen = chosen_job(standings, place.job_id)
    log = place.store.folder(chosen.job_id).log if chosen else None
    log_size = log.stat().st_size if log and log.exists() else 0
    # Whole seconds: the clock moves on screen, but not more often than it can be read.
    rows = tuple((s.status, s.words, round(s.fraction, 3), int(s.elapsed or 0)) for s in standings)
    return place.study_id, rows, chosen.job_id if chosen else "", log_size


def _show(place: Place) -> list[Any]:
    if not study_exists(place):
        return [empty(), ""]
    standings = read_standings(place.store, place.study_id)
    chosen = chosen_job(standings, place.job_id)
    html = page(
        "progress",
        standings=standings,
        scores=_scores(place),
        overview=overview(standings),
        chosen=chosen.job_id if chosen else "",
    )
    if chosen is None:
        return [html, ""]
    text = place.store.folder(chosen.job_id).log_tail(LOG_BYTES) or "Nothing printed yet."
    return [html, page("log", title=chosen.title, text=text)]


def _scores(place: Place) -> dict[str, Row]:
    """By job id: rows that have a score. Without intervals, which take too long for every tick of the clock."""
    try:
        results = place.store.results(place.study_id)
    except NotFound:
        return {}
    comparison = compare(place.store.study(place.study_id), place.store.jobs(place.study_id), results, {})
    return {row.job_id: row for row in comparison.scored}
