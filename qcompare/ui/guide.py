"""For newcomers: New one card at a time, and a short tour. Shown and hidden in the browser (`path.js`, `tour.js`)."""

from dataclasses import dataclass

import gradio as gr

from qcompare.ui.pages import page
from qcompare.ui.parts import markup
from qcompare.words import gettext, gettext_noop

STEPS = (
    (gettext_noop("Model"), gettext_noop("Choose the model to make smaller. The demo is small and always works.")),
    (
        gettext_noop("Compress"),
        gettext_noop("Choose how small it should get and which recipes to compare. The defaults are fine."),
    ),
    (
        gettext_noop("Measure"),
        gettext_noop(
            "Choose how many questions each recipe answers: more questions show smaller gaps and take longer."
        ),
    ),
)
"""The cards in their order, each with what to do there."""


@dataclass(frozen=True)
class Stop:
    """One of the tour."""

    tab: str
    about: str
    """Selector of what it talks about, which is outlined."""
    title: str
    text: str


STOPS = (
    Stop(
        "new", "#qc-cards", gettext_noop("What it does"),
        gettext_noop("It makes a model smaller in several ways, asks all of them the same questions, and says which "
              "one to keep. The demo is filled in and ready."),
    ),
    Stop(
        "new", "#qc-start", gettext_noop("What it will cost"),
        gettext_noop("Time, memory and disk space are estimated before anything runs, from earlier runs on this "
              "machine."),
    ),
    Stop(
        "progress", "#qc-tabs .tab-container", gettext_noop("While it runs"),
        gettext_noop("Each recipe is a row here. Close the page whenever you like: work goes on, nothing is done "
              "twice."),
    ),
    Stop(
        "results", "#qc-verdict", gettext_noop("The answer"),
        gettext_noop("One sentence says which recipe to keep and whether the difference is significant. "
              "Press a score in the table to see the questions behind it."),
    ),
    Stop(
        "generations", "#qc-tabs .tab-container", gettext_noop("Read it yourself"),
        gettext_noop("The recipes' answers to one prompt, side by side. Vote blind, or ask a prompt of your own."),
    ),
)  # fmt: skip


def build_path(lead: str) -> None:
    """Lay out what leads into New, the switch between the two ways, and the steps, in the current page."""
    with gr.Row(elem_id="qc-path", equal_height=True):
        markup(lead, scale=1)
        markup(page("path"), scale=0, min_width=0)
    markup(
        page("steps", steps=[(gettext(title), gettext(sentence)) for title, sentence in STEPS]), elem_id="qc-steps"
    )


def build_walk() -> None:
    """Lay out Back and Next in the current page."""
    markup(page("walk"), elem_id="qc-walk", scale=0, min_width=0)


def build_tour() -> None:
    """Lay out the tour in the current page; `tour.js` opens the tabs that its stops talk about."""
    said = [Stop(stop.tab, stop.about, gettext(stop.title), gettext(stop.text)) for stop in STOPS]
    markup(page("tour", stops=said), elem_id="qc-tour")
