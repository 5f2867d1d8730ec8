"""Product name, study picker, what is running."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from qcompare.jobs.library import rename as rename_study
from qcompare.present import numbers
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.ids import format_ids
from qcompare.study.records import Status, StudyRecord
from qcompare.ui.pages import page
from qcompare.ui.parts import QUIET, WITH_MESSAGES, PageState, Panel, markup, study_exists, warn_on_error
from qcompare.ui.server.roles import Right, has_hugging_face_login, needs, on_space, visitor
from qcompare.ui.texts import PRODUCT, STATUS_WORDS
from qcompare.words import gettext

PICKED_FROM = 30
"""Newest studies that the picker offers; History finds the others."""


@dataclass(frozen=True)
class Header:
    """The components that others listen to."""

    picker: gr.Dropdown
    panel: Panel


def build_header(settings: Settings, store: Store, study_id: gr.Textbox) -> Header:
    """Lay out the header in the current page; the name of the open study can be changed in its place."""
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
        name = gr.Textbox(
            label=gettext("Name"), visible=False, show_label=False, container=False, max_lines=1, elem_id="qc-name",
            scale=1, min_width=200,
        )  # fmt: skip
        rename = gr.Button(gettext("Rename"), visible=False, size="sm", scale=0, min_width=0, elem_id="qc-rename",
                           elem_classes="qc-needs-launch")  # fmt: skip
        running = markup(page("header", running=0, waiting=0, user=""), elem_id="qc-status", scale=0, min_width=120)
        if has_hugging_face_login():
            gr.LoginButton(gettext("Log in"), size="sm", scale=0, min_width=120)
    rename.click(
        needs(Right.LAUNCH)(lambda study: _named(store, study)), study_id, [name, picker], **WITH_MESSAGES
    ).then(None, None, None, js="() => document.querySelector('#qc-name :is(input, textarea)')?.focus()", **QUIET)
    gr.on(
        [name.submit, name.blur],
        needs(Right.LAUNCH)(lambda study, text: _renamed(settings, store, study, text)),
        [study_id, name], [name, picker], **WITH_MESSAGES,
    )  # fmt: skip
    return Header(picker, Panel("header", [picker, rename, running], _token, _show))


def _named(store: Store, study_id: str) -> list[Any]:
    """The field with the name of the open study, in place of the picker."""
    return warn_on_error(
        lambda: [gr.update(value=store.study(study_id).name, visible=True), gr.update(visible=False)],
        [gr.skip(), gr.skip()],
    )


def _renamed(settings: Settings, store: Store, study_id: str, name: str) -> list[Any]:
    """The picker again, with the new name."""
    done = warn_on_error(lambda: rename_study(store.study(study_id).id, name, settings), None)
    return [gr.update(visible=done is None), gr.update(visible=done is not None)]


def _logged_in() -> str:
    """The name of a visitor who can log out again; on a Space the hub's own button says it."""
    return "" if on_space() else visitor().name


def _choice(study: StudyRecord) -> str:
    """A study in the picker; first, where nothing cuts it off, whether it is not done."""
    done = study.status is Status.SUCCESS
    state = "" if done else gettext("{state}: ", state=gettext(STATUS_WORDS[study.status.value]))
    return f"{state}{study.name} · {numbers.day(study.created)}"


def _token(state: PageState) -> Hashable:
    return state.study_ids, state.store.version()


def _show(state: PageState) -> list[Any]:
    studies = [study for study in state.store.studies() if not study.asked_of]
    shown = studies[:PICKED_FROM] + [study for study in studies[PICKED_FROM:] if study.id == state.study_id]
    choices = [(_choice(study), study.id) for study in shown]
    counts = state.store.counts()
    shown_now = format_ids(state.study_ids)
    if len(state.study_ids) > 1:
        choices.insert(0, (gettext("{n} studies side by side", n=len(state.study_ids)), shown_now))
    chosen = shown_now if shown_now in [value for _, value in choices] else None
    return [
        gr.update(choices=choices, value=chosen, visible=bool(studies)),
        gr.update(visible=study_exists(state)),
        page("header", running=counts[Status.RUNNING], waiting=counts[Status.QUEUED], user=_logged_in()),
    ]
