"""Progress: one line a recipe, and the log of the chosen one."""

import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from qcompare.compare.selection import read_selection
from qcompare.compare.table import Row, compare
from qcompare.errors import QCompareError
from qcompare.present.job_progress import overview, read_job_progress
from qcompare.settings import Settings
from qcompare.study.records import Status
from qcompare.ui.devices import build_devices
from qcompare.ui.pages import empty, page
from qcompare.ui.parts import Part, Place, markup
from qcompare.ui.progress.actions import PRESSES, job_actions, study_actions
from qcompare.ui.progress.logs import build_log, chosen_job
from qcompare.ui.progress.queue import QueueList, build_queue

ROWS_A_SECOND = 40
"""Rows that may be drawn anew every second; a study of more is drawn less often."""


@dataclass(frozen=True)
class ProgressTab:
    """The components that others listen to."""

    rows: gr.HTML
    parts: tuple[Part, ...]
    """Rows, devices and log: each is sent only when it has changed itself."""
    queue: QueueList


def build_progress(settings: Settings) -> ProgressTab:
    """Lay out the tab in the current page."""
    rows = markup(empty(), js_on_load=PRESSES, elem_id="qc-rows")
    parts = (Part("rows", [rows], _rows_token, _show_rows), build_devices(settings), build_log())
    return ProgressTab(rows, parts, build_queue())


def picked_job(event: gr.EventData) -> str:
    """The id of the job whose row was clicked."""
    return str(event.job)


def _rows_token(place: Place) -> Hashable:
    standings = read_job_progress(place.store, place.study_id)
    chosen = chosen_job(standings, place.job_id)
    paused = bool(standings) and place.store.study(place.study_id).paused
    fixed = place.study_ids, paused, chosen.job_id if chosen else "", tuple((s.job_id, s.status) for s in standings)
    if len(standings) > ROWS_A_SECOND:
        running = any(s.status is Status.RUNNING for s in standings)
        return *fixed, int(time.time() * ROWS_A_SECOND / len(standings)) if running else 0
    # Whole seconds: the clock moves on screen, but not more often than it can be read.
    return *fixed, tuple((s.words, s.vitals, round(s.fraction, 3), int(s.elapsed or 0)) for s in standings)


def _show_rows(place: Place) -> list[Any]:
    standings = read_job_progress(place.store, place.study_id)
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
    studies = [place.store.study(study_id) for study_id in place.study_ids]
    return page("several", studies=studies) if len(studies) > 1 else ""


def _scores(place: Place) -> dict[str, Row]:
    """By job id: rows that have a score. Without intervals, which take too long for every tick of the clock."""
    try:
        comparison = compare(read_selection(place.store, place.study_ids), {})
    except QCompareError:
        return {}
    return {row.job_id: row for row in comparison.scored}
