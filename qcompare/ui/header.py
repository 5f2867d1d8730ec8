"""Product name, study picker, what is running."""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import gradio as gr

from qcompare.study.records import Status
from qcompare.ui.pages import page
from qcompare.ui.parts import Part, Place, markup
from qcompare.ui.texts import PRODUCT, STATUS_WORDS


@dataclass(frozen=True)
class Header:
    """The components that others listen to."""

    picker: gr.Dropdown
    part: Part


def build_header() -> Header:
    """Lay out the header in the current page."""
    with gr.Row(elem_id="qc-header", equal_height=True):
        markup(page("brand", product=PRODUCT), elem_id="qc-brand", scale=0, min_width=200)
        picker = gr.Dropdown(
            [],
            label="Study",
            visible=False,
            show_label=False,
            container=False,
            elem_id="qc-picker",
            scale=1,
            min_width=200,
        )
        running = markup(page("header", running=0, waiting=0), elem_id="qc-status", scale=0, min_width=120)
    return Header(picker, Part("header", [picker, running], _token, _show))


def _token(place: Place) -> Hashable:
    return place.study_id, tuple((study.id, study.status) for study in place.store.studies()), _counts(place)


def _counts(place: Place) -> tuple[int, int]:
    jobs = place.store.jobs
    return len(jobs(status=Status.RUNNING)), len(jobs(status=Status.QUEUED))


def _show(place: Place) -> list[Any]:
    studies = place.store.studies()
    choices = [
        (f"{s.name} · {datetime.fromtimestamp(s.created):%d %b %H:%M} · {STATUS_WORDS[s.status.value]}", s.id)
        for s in studies
    ]
    running, waiting = _counts(place)
    chosen = place.study_id if any(study.id == place.study_id for study in studies) else None
    return [
        gr.update(choices=choices, value=chosen, visible=bool(studies)),
        page("header", running=running, waiting=waiting),
    ]
