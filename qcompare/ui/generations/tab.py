"""Generations: the answers to each prompt side by side, marked where they leave BF16's."""

from typing import Any

from qcompare.compare.selection import read_selection
from qcompare.errors import QCompareError
from qcompare.present.side_by_side import side_by_side
from qcompare.ui.generations.own_prompt import build_own_prompt
from qcompare.ui.pages import empty, page
from qcompare.ui.parts import PageState, Panel, job_states, markup
from qcompare.ui.tabs import Tab, TabContext
from qcompare.words import gettext, gettext_noop, translate


def build_generations(context: TabContext) -> list[Panel]:
    """Lay out the tab in the current page."""
    own = build_own_prompt(context.settings, context.store, context.study_id)
    answers = markup(empty(), elem_id="qc-generations")
    return [own, Panel("generations", [answers], job_states, _show)]


TAB = Tab(gettext_noop("Generations"), build_generations)


def _show(state: PageState) -> list[Any]:
    if not state.study_ids:
        return [empty()]
    try:
        selection = read_selection(state.store, state.study_ids)
    except QCompareError as error:
        return [empty(translate(error.message))]
    if not selection.spec.prompts:
        return [empty(gettext("This study has no prompts. Add some under New and start again."))]
    if not selection.results:
        text = gettext("No answers yet: they appear here as recipes finish. See Progress for where they are.")
        return [empty(text)]
    return [page("generations", prompts=side_by_side(selection))]
