"""Buttons that take results away: report, tables, the answer as text."""

import base64
import json

import gradio as gr

from qcompare.compare.table import read_comparison
from qcompare.errors import NotFound
from qcompare.present.answer import answer
from qcompare.present.take_away import FILES
from qcompare.store import Store
from qcompare.study.ids import parse_ids
from qcompare.ui.parts import markup
from qcompare.words import gettext

SAVE, COPY = "(file) => window.qcompare.save(file)", "(text) => window.qcompare.copy(text)"


def build_take_away(store: Store, study_id: gr.Textbox) -> gr.Row:
    """Lay out the buttons in the current page. A file goes straight to the browser's downloads."""
    with gr.Row(visible=False, elem_id="qc-take-away") as row:
        carried = gr.Textbox(visible=False)
        report, *files = FILES
        buttons = {report: gr.Button(gettext(FILES[report].title), size="sm", scale=0, min_width=96)}
        copy = gr.Button(gettext("Copy summary"), size="sm", scale=0, min_width=152)
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
    return row


def _file(store: Store, study_id: str, format: str) -> str:
    """A file as JSON: name, media type, content in base 64. Empty when the study is gone."""
    kind = FILES[format]
    try:
        content = kind.make(store, parse_ids(study_id))
    except NotFound:
        return ""
    coded = base64.b64encode(content).decode()
    return json.dumps({"name": f"qcompare-{study_id}.{kind.ending}", "type": kind.media_type, "content": coded})


def _sentence(store: Store, study_id: str) -> str:
    try:
        return answer(read_comparison(store, parse_ids(study_id))).plain.text
    except NotFound:
        return ""
