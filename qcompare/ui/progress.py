"""Progress: one line a recipe, and the log of the chosen one."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from qcompare.errors import QCompareError
from qcompare.results.selection import read_selection, study_names
from qcompare.results.standing import Standing, overview, read_standings
from qcompare.results.table import Row, compare
from qcompare.study.records import Status
from qcompare.ui.actions import job_actions, study_actions
from qcompare.ui.pages import empty, page
from qcompare.ui.parts import Part, Place, markup

LOG_BYTES = 16_000
"""Of a log's end that are shown: long texts have stalled browsers."""
PRESSES = """
window.qcompare.presses(element, '[data-job], [data-act]', (pressed) => {
  if (pressed.act) trigger('act', {act: pressed.act, name: pressed.name});
  else trigger('pick', {job: pressed.job});
});
"""


@dataclass(frozen=True)
class ProgressTab:
    """The components that others listen to."""

    rows: gr.HTML
    parts: tuple[Part, Part]
    """Rows and log: the clock moves the rows every few seconds, and the log need not be sent along."""


def build_progress() -> ProgressTab:
    """Lay out the tab in the current page."""
    rows = markup(empty(), js_on_load=PRESSES, elem_id="qc-rows")
    log = markup(elem_id="qc-log")
    return ProgressTab(
        rows, (Part("rows", [rows], _rows_token, _show_rows), Part("log", [log], _log_token, _show_log))
    )


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


def _rows_token(place: Place) -> Hashable:
    standings = read_standings(place.store, place.study_id)
    chosen = chosen_job(standings, place.job_id)
    # Whole seconds: the clock moves on screen, but not more often than it can be read.
    rows = tuple(
        (s.job_id, s.status, s.words, s.vitals, round(s.fraction, 3), int(s.elapsed or 0)) for s in standings
    )
    paused = bool(standings) and place.store.study(place.study_id).paused
    return place.study_id, rows, paused, chosen.job_id if chosen else ""


def _show_rows(place: Place) -> list[Any]:
    standings = read_standings(place.store, place.study_id)
    if not standings:
        return [_of_several(place) or empty()]
    chosen = chosen_job(standings, place.job_id)
    study, jobs = place.store.study(place.study_id), place.store.jobs(place.study_id)
    return [
        page(
            "progress",
            standings=standings,
            scores=_scores(place),
            overview=overview(standings),
            chosen=chosen.job_id if chosen else "",
            actions={job.id: job_actions(place.store, job, s.title) for job, s in zip(jobs, standings, strict=True)},
            study_actions=study_actions(study, jobs),
        )
    ]


def _of_several(place: Place) -> str:
    """Where several studies are looked at: the way to the jobs of each."""
    names = study_names(place.study_id)
    return page("several", studies=[place.store.study(name) for name in names]) if len(names) > 1 else ""


def _log_token(place: Place) -> Hashable:
    chosen = chosen_job(read_standings(place.store, place.study_id), place.job_id)
    if chosen is None:
        return None
    log = place.store.folder(chosen.job_id).log
    return chosen.job_id, log.stat().st_size if log.exists() else 0


def _show_log(place: Place) -> list[Any]:
    chosen = chosen_job(read_standings(place.store, place.study_id), place.job_id)
    if chosen is None:
        return [""]
    text = place.store.folder(chosen.job_id).log_tail(LOG_BYTES) or "Nothing printed yet."
    return [page("log", title=chosen.title, text=text)]


def _scores(place: Place) -> dict[str, Row]:
    """By job id: rows that have a score. Without intervals, which take too long for every tick of the clock."""
    try:
        comparison = compare(read_selection(place.store, place.study_id), {})
    except QCompareError:
        return {}
    return {row.job_id: row for row in comparison.scored}
