"""Product name, study picker, what is running."""

import os
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from qcompare.present import numbers
from qcompare.study.ids import format_ids
from qcompare.study.records import Status
from qcompare.ui.pages import page
from qcompare.ui.parts import PageState, Panel, markup
from qcompare.ui.server.roles import on_space, visitor
from qcompare.ui.texts import PRODUCT, STATUS_WORDS
from qcompare.words import gettext

PICKED_FROM = 30
"""Newest studies that the picker offers; History finds the others."""


@dataclass(frozen=True)
class Header:
    """The components that others listen to."""

    picker: gr.Dropdown
    panel: Panel


def build_header() -> Header:
    """Lay out the header in the current page."""
    with gr.Row(elem_id="qc-header", equal_height=True):
        markup(page("brand", product=PRODUCT), elem_id="qc-brand", scale=0, min_width=200)
        picker = gr.Dropdown(
            [],
            label=gettext("Study"),
            visible=False,
            show_label=False,
            container=False,
            elem_id="qc-picker",
            scale=1,
            min_width=200,
        )
        running = markup(page("header", running=0, waiting=0, user=""), elem_id="qc-status", scale=0, min_width=120)
        if can_log_in_with_hugging_face():
            gr.LoginButton(gettext("Log in"), size="sm", scale=0, min_width=120)
    return Header(picker, Panel("header", [picker, running], _token, _show))


def can_log_in_with_hugging_face() -> bool:
    """On a Space whose front matter says `hf_oauth: true`; elsewhere gradio would let anybody in as the owner."""
    return on_space() and bool(os.environ.get("OAUTH_CLIENT_ID"))


def _logged_in() -> str:
    """The name of a visitor who can log out again; on a Space the hub's own button says it."""
    return "" if on_space() else visitor().name


def _token(state: PageState) -> Hashable:
    return state.study_ids, state.store.version()


def _show(state: PageState) -> list[Any]:
    studies = state.store.studies()
    shown = studies[:PICKED_FROM] + [study for study in studies[PICKED_FROM:] if study.id == state.study_id]
    choices = [
        (f"{s.name} · {numbers.day(s.created)} · {gettext(STATUS_WORDS[s.status.value])}", s.id) for s in shown
    ]
    counts = state.store.counts()
    shown_now = format_ids(state.study_ids)
    if len(state.study_ids) > 1:
        choices.insert(0, (gettext("{n} studies side by side", n=len(state.study_ids)), shown_now))
    chosen = shown_now if shown_now in [value for _, value in choices] else None
    return [
        gr.update(choices=choices, value=chosen, visible=bool(studies)),
        page("header", running=counts[Status.RUNNING], waiting=counts[Status.QUEUED], user=_logged_in()),
    ]
