"""Generations: the answers to each prompt side by side, marked where they leave BF16's."""

from typing import Any

import gradio as gr

from qcompare.compare.selection import read_selection
from qcompare.errors import QCompareError
from qcompare.present.side_by_side import side_by_side
from qcompare.settings import Settings
from qcompare.ui.generations.own_prompt import build_own_prompt
from qcompare.ui.pages import empty, page
from qcompare.ui.parts import Part, Place, job_states, markup
from qcompare.words import gettext, translate


def build_generations(settings: Settings, study_id: gr.Textbox) -> tuple[Part, Part]:
    """Lay out the tab in the current page."""
    own = build_own_prompt(settings, study_id)
    answers = markup(empty(), elem_id="qc-generations")
    return own, Part("generations", [answers], job_states, _show)


def _show(place: Place) -> list[Any]:
    if not place.study_ids:
        return [empty()]
    try:
        selection = read_selection(place.store, place.study_ids)
    except QCompareError as error:
        return [empty(translate(error.message))]
    if not selection.spec.prompts:
        return [empty(gettext("This study has no prompts. Add some under New and start again."))]
    if not selection.results:
        text = gettext("No answers yet: they appear here as recipes finish. See Progress for where they are.")
        return [empty(text)]
    return [page("generations", prompts=side_by_side(selection))]
