"""Buttons that take results away: report, tables, the answer as text and as a picture, slides."""

import base64
import json
from dataclasses import asdict

import gradio as gr

from qcompare.errors import NotFound
from qcompare.present.answer import answer
from qcompare.present.share_card import share_card
from qcompare.present.take_away import FILES
from qcompare.store import Store
from qcompare.study.ids import parse_ids
from qcompare.ui.parts import PageState, comparison_of, markup, shown_version
from qcompare.ui.shared import Memory
from qcompare.ui.texts import PRODUCT
from qcompare.words import gettext

SAVE, COPY, DRAW = (
    f"(made) => {{ window.qcompare.handedOver(); return window.qcompare.{act}(made); }}"
    for act in ("save", "copy", "shareCard")
)

MADE = Memory(4)
"""The newest files, of a few megabytes each."""


def build_take_away(store: Store, study_id: gr.Textbox) -> gr.Row:
    """Lay out the buttons in the current page. A file goes straight to the browser's downloads."""
    with gr.Row(visible=False, elem_id="qc-take-away") as row:
        carried = gr.Textbox(visible=False)
        report, *files = FILES
        buttons = {report: gr.Button(gettext(FILES[report].title), size="sm", scale=0, min_width=96)}
        copy = gr.Button(gettext("Copy summary"), size="sm", scale=0, min_width=152)
        card = gr.Button(gettext("Share card"), size="sm", scale=0, min_width=120)
        present = gr.Button(gettext("Present (P)"), size="sm", scale=0, min_width=120, elem_id="qc-present-start")
        markup(gettext("Table and data:"), elem_classes=["qc-dim", "qc-beside"])
        for format in files:
            buttons[format] = gr.Button(
                gettext(FILES[format].title), size="sm", scale=0, min_width=0, elem_classes="qc-link"
            )
        for format, button in buttons.items():
            button.click(
                lambda study, format=format: _file(store, study, format), study_id, carried,
                show_progress="minimal", api_visibility="private",
            ).then(None, carried, None, js=SAVE, api_visibility="private")  # fmt: skip
        copy.click(lambda study: _sentence(store, study), study_id, carried, api_visibility="private").then(
            None, carried, None, js=COPY, api_visibility="private"
        )
        card.click(lambda study: _card(store, study), study_id, carried, api_visibility="private").then(
            None, carried, None, js=DRAW, api_visibility="private"
        )
        present.click(None, None, None, js="() => window.qcompare.present.start()", api_visibility="private")
    return row


def _file(store: Store, study_id: str, format: str) -> str:
    """A file as JSON: name, media type, content in base 64. Empty when the study is gone."""
    kind = FILES[format]
    if not parse_ids(study_id):
        return ""
    try:
        state = PageState(store, parse_ids(study_id), "")
        key = (format, shown_version(state))
        content = MADE.answer(key, lambda: kind.make(store, state.study_ids))
    except NotFound:
        return ""
    coded = base64.b64encode(content).decode()
    return json.dumps({"name": f"qcompare-{study_id}.{kind.ending}", "type": kind.media_type, "content": coded})


def _sentence(store: Store, study_id: str) -> str:
    try:
        return answer(comparison_of(PageState(store, parse_ids(study_id), ""))).plain.text
    except NotFound:
        return ""


def _card(store: Store, study_id: str) -> str:
    """What `share_card.js` draws, as JSON. Empty when the study is gone."""
    try:
        card = share_card(comparison_of(PageState(store, parse_ids(study_id), "")))
    except NotFound:
        return ""
    return json.dumps({"name": f"qcompare-{study_id}.png", "product": PRODUCT, **asdict(card)})
