"""The pieces of the screen that follow the store, and how they are brought up to date.

Each tab hands over a `Panel`: what to look at (cheap), and what to show (only when that has changed). Nothing of a
study is kept in the browser or the session but its id, so a reload, a second window and a closed one see the same.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, TypeVar

import gradio as gr

from qcompare.compare.table import Comparison, read_comparison
from qcompare.errors import NotFound, QCompareError
from qcompare.store import Store
from qcompare.study.ids import StudyIds, parse_ids
from qcompare.ui.pages import empty
from qcompare.ui.shared import Memory, SharedStore
from qcompare.words import gettext, language, translate

T = TypeVar("T")
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""Of events that only bring the screen up to date: no queue that a closing browser could cut, no spinner."""
WITH_MESSAGES = QUIET | {"queue": True}
"""Of events whose handler may show a message: Gradio shows one only through its queue."""
OPENING = "…"
"""In place of a study's id until the page's address has been read: panels then stay as they were laid out."""


@dataclass(frozen=True)
class PageState:
    """Where a visitor is: which store, which study, which job's log."""

    store: Store
    study_ids: StudyIds
    """None, one, or several side by side."""
    job_id: str
    """Empty: none chosen."""

    @property
    def study_id(self) -> str:
        """The one study that is looked at; empty: none, or several."""
        return self.study_ids[0] if len(self.study_ids) == 1 else ""


def page_state(store: Store, study: str | None, job: str | None) -> PageState | None:
    """Where a visitor is, from the hidden components that say it; None while the page is opening."""
    return None if study == OPENING else PageState(store, parse_ids(study or ""), job or "")


@dataclass(frozen=True)
class Panel:
    """Some components that show something of a study."""

    name: str
    outputs: Sequence[gr.blocks.Block]
    token: Callable[[PageState], Hashable]
    """Changes whenever what is shown would change."""
    show: Callable[[PageState], Sequence[Any]]
    """New values of the outputs."""
    group: str = ""
    """Panels of one group are brought up to date together, groups side by side; empty: that of the panel's tab."""
    tab: str = ""
    """Set by the page: where it is."""
    later: bool = False
    """It takes long: while its tab is hidden, its group waits until what is seen has been drawn."""
    live: bool = False
    """Changes all the time while jobs run: the page itself asks for it, see `updates.py`. Its one output is HTML."""


DRAWN = Memory(64)
"""What parts showed last: browsers on the same study get the same."""

Seen = dict[str, Hashable]
"""The token of each part as last shown to this visitor."""


def refresh(panels: Sequence[Panel], state: PageState, seen: Seen) -> tuple[Seen, list[Any]]:
    """Values for the outputs of all panels; what has not changed is skipped, so that nothing moves on screen."""
    now: Seen = dict(seen)
    values: list[Any] = []
    for panel in panels:
        try:
            token = panel.token(state)
            shown = None if seen.get(panel.name) == token else shown_by(panel, state, token)
        except NotFound:  # deleted in this moment: the next look shows it
            shown = None
        if shown is None:
            values += [gr.skip()] * len(panel.outputs)
            continue
        now[panel.name] = token
        values += [dict(value) if isinstance(value, dict) else value for value in shown]
    return now, values


def shown_by(panel: Panel, state: PageState, token: Hashable) -> list[Any]:
    """Values of a panel's outputs, drawn once for all visitors who see the same.

    Args:
        token: the panel's, for that state.
    """
    view = state.store.view() if isinstance(state.store, SharedStore) else ()
    key = (language(), view, state.store.home, panel.name, token)
    return DRAWN.answer(key, lambda: list(panel.show(state)))


def warn(error: QCompareError) -> None:
    """Show an error as a message that goes away by itself."""
    gr.Warning(escape(translate(error.message), quote=False))  # Gradio shows a message as HTML


def warn_on_error(act: Callable[[], T], otherwise: T) -> T:
    """What an action returns; `otherwise` where it fails, after showing the error."""
    try:
        return act()
    except QCompareError as error:
        warn(error)
        return otherwise


def comparison_of(state: PageState) -> Comparison:
    """The comparison of the studies that are looked at; the parts of a page and all its visitors share it.

    Raises:
        QCompareError: as `read_comparison`.
    """
    key = ("comparison", state.store.home, answer_states(state))
    return DRAWN.answer(key, lambda: read_comparison(state.store, state.study_ids))


def nothing_open(state: PageState) -> str:
    """What stands where no study is open: the way to one."""
    if state.store.newest() is None:
        return empty()
    return empty(gettext("No study is open: choose one at the top of the page, or in History."))


def study_exists(state: PageState) -> bool:
    """The study that the address names is in the store."""
    try:
        return bool(state.study_id) and state.store.study(state.study_id).id == state.study_id
    except NotFound:
        return False


def job_states(state: PageState) -> Hashable:
    """A token that changes when a job of the study, or of one of the studies, begins or ends."""
    jobs = (job for study_id in state.study_ids for job in state.store.jobs(study_id))
    return state.study_ids, tuple((job.id, job.status) for job in jobs)


def answer_states(state: PageState) -> Hashable:
    """As `job_states`; changes also with the margin, on which the answer depends."""
    return job_states(state), tuple(state.store.study(study_id).spec.margin for study_id in state.study_ids)


def shown_version(state: PageState) -> Hashable:
    """Changes with whatever a visitor may see of the studies' results and answers, and with the language."""
    view = state.store.view() if isinstance(state.store, SharedStore) else ()
    asked = tuple(
        job.id
        for study_id in state.study_ids
        for study in state.store.asked_of(study_id)
        for job in state.store.jobs(study.id)
        if job.status.ended
    )
    return language(), view, state.store.home, answer_states(state), asked


def markup(html: str = "", **options: Any) -> gr.HTML:
    """An HTML component that brings no style of its own; the look is all in `assets/style.css`."""
    return gr.HTML(html, apply_default_css=False, padding=False, **options)


def live_markup(panel: str, html: str = "", js_on_load: str = "", **options: Any) -> gr.HTML:
    """The HTML component of a live panel, which `updates.js` draws."""
    draws = f"window.qcompare.updates.draws('{panel}', (html) => (props.value = html));"
    return markup(html, js_on_load=draws + js_on_load, **options)
