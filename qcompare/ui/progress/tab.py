"""Progress: one line per recipe, and the log of the chosen one."""

import time
from collections.abc import Hashable
from typing import Any

import gradio as gr

from qcompare.compare.selection import read_selection
from qcompare.compare.table import Row, compare
from qcompare.errors import QCompareError
from qcompare.present.job_progress import overview, read_job_progress
from qcompare.study.records import Status
from qcompare.ui.devices import build_devices
from qcompare.ui.pages import opening, page
from qcompare.ui.parts import QUIET, PageState, Panel, live_markup, nothing_open
from qcompare.ui.progress.actions import PRESSES, connect, job_actions, study_actions
from qcompare.ui.progress.logs import build_log, chosen_job
from qcompare.ui.progress.queue import build_queue
from qcompare.ui.tabs import Tab, TabContext
from qcompare.words import gettext_noop

ROWS_A_SECOND = 40
"""Rows that may be drawn anew every second; a study of more is drawn less often."""


def build_progress(context: TabContext) -> list[Panel]:
    """Lay out the tab in the current page. Each panel is sent only when it has changed itself."""
    rows = live_markup("rows", opening(), PRESSES, elem_id="qc-rows")
    rows.pick(_picked, None, context.job_id, **QUIET)
    connect(rows, context)
    live = Panel("rows", [rows], _rows_token, _show_rows, live=True)
    return [live, build_devices(context.settings), build_log(), build_queue(context)]


TAB = Tab(gettext_noop("Progress"), build_progress)


def _picked(event: gr.EventData) -> str:
    return str(event.job)


def _rows_token(state: PageState) -> Hashable:
    rows = read_job_progress(state.store, state.study_id)
    chosen = chosen_job(rows, state.job_id)
    paused = bool(rows) and state.store.study(state.study_id).paused
    fixed = state.study_ids, paused, chosen.job_id if chosen else "", tuple((s.job_id, s.status) for s in rows)
    if len(rows) > ROWS_A_SECOND:
        running = any(s.status is Status.RUNNING for s in rows)
        return *fixed, int(time.time() * ROWS_A_SECOND / len(rows)) if running else 0
    # Whole seconds: the clock moves on screen, but not more often than it can be read.
    return *fixed, tuple((s.words, s.vitals, round(s.fraction, 3), int(s.elapsed or 0)) for s in rows)


def _show_rows(state: PageState) -> list[Any]:
    rows = read_job_progress(state.store, state.study_id)
    if not rows:
        return [_of_several(state) or nothing_open(state)]
    chosen = chosen_job(rows, state.job_id)
    study, jobs = state.store.study(state.study_id), state.store.jobs(state.study_id)
    return [
        page(
            "progress",
            rows=rows,
            scores=_scores(state),
            overview=overview(rows),
            chosen=chosen.job_id if chosen else "",
            actions={job.id: job_actions(state.store, job, s.title) for job, s in zip(jobs, rows, strict=True)},
            study_actions=study_actions(study, jobs),
        )
    ]


def _of_several(state: PageState) -> str:
    """Where several studies are looked at: the way to the jobs of each."""
    known = {study.id: study for study in state.store.studies()}  # without those that were deleted just now
    studies = [known[study_id] for study_id in state.study_ids if study_id in known]
    return page("several", studies=studies) if len(studies) > 1 else ""


def _scores(state: PageState) -> dict[str, Row]:
    """By job id: rows that have a score. Without intervals, which take too long for every tick of the clock."""
    try:
        comparison = compare(read_selection(state.store, state.study_ids), {})
    except QCompareError:
        return {}
    return {row.job_id: row for row in comparison.scored}
