"""The tabs. Another is a module with a `Tab`, and a line in `TABS` or an entry point of `qcompare.tabs`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import gradio as gr

from qcompare.registry import Registry
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.ui.parts import Panel


@dataclass
class TabContext:
    """What a tab is built from, and the hidden components through which tabs reach each other."""

    app: gr.Blocks
    tabs: gr.Tabs
    """An output of handlers that open a tab: `gr.Tabs(selected="results")`."""
    settings: Settings
    store: Store
    study_id: gr.Textbox
    """Id of the study that is shown; of several, with commas between. Setting it opens another study."""
    job_id: gr.Textbox
    """Id of the job whose log is shown; empty: the page chooses."""
    tab: gr.Textbox
    """Name of the tab that is seen."""
    acted: gr.Textbox
    """A handler that changed a study or job sets another text: the screen is brought up to date at once."""
    form_inputs: list[gr.components.Component] = field(default_factory=list)
    """Widgets of New, in the order of `StudyForm`, once that tab is built."""


@dataclass(frozen=True)
class Tab:
    """One tab; its name in the registry is its name in the page's address."""

    title: str
    """Marked with `gettext_noop`."""
    build: Callable[[TabContext], Sequence[Panel]]
    """Lays the tab out in the current page and connects its events; returns what follows the store."""


TABS: Registry[Tab] = Registry(
    "qcompare.tabs",
    "tab",
    {
        "new": "qcompare.ui.new.tab:TAB",
        "progress": "qcompare.ui.progress.tab:TAB",
        "results": "qcompare.ui.results.tab:TAB",
        "generations": "qcompare.ui.generations.tab:TAB",
        "explorer": "qcompare.ui.explorer:TAB",
        "history": "qcompare.ui.history.tab:TAB",
    },
)
