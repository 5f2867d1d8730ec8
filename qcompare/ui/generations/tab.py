"""Generations: the answers to each prompt side by side, marked where they leave BF16's."""

from collections.abc import Hashable
from typing import Any

from qcompare.compare.asked import with_asked
from qcompare.compare.choice import job_to_ship
from qcompare.compare.next_tokens import read_next_tokens
from qcompare.compare.selection import read_selection
from qcompare.errors import QCompareError
from qcompare.present.job_progress import overview, read_job_progress
from qcompare.present.side_by_side import side_by_side
from qcompare.study.prompts import turns
from qcompare.study.records import Status, StudyRecord
from qcompare.ui.generations.own_prompt import build_own_prompt
from qcompare.ui.generations.votes import build_votes
from qcompare.ui.pages import empty, opening, page
from qcompare.ui.parts import PageState, Panel, answer_states, comparison_of, job_states, markup, nothing_open
from qcompare.ui.tabs import Tab, TabContext
from qcompare.words import gettext, gettext_noop, translate


def build_generations(context: TabContext) -> list[Panel]:
    """Lay out the tab in the current page."""
    own = build_own_prompt(context)
    answers = markup(opening(), elem_id="qc-generations", js_on_load="window.qcompare.blind.watch(element);")
    votes = build_votes(context)
    return [own, votes, Panel("generations", [answers], _token, _show)]


TAB = Tab(gettext_noop("Generations"), build_generations)


def _asked(state: PageState) -> list[StudyRecord]:
    """The prompts asked of these studies since, oldest first."""
    return [later for study_id in state.study_ids for later in state.store.asked_of(study_id)]


def _token(state: PageState) -> Hashable:
    later = PageState(state.store, tuple(study.id for study in _asked(state)), "")
    return answer_states(state), job_states(later)


def _show(state: PageState) -> list[Any]:
    if not state.study_ids:
        return [nothing_open(state)]
    try:
        selection = with_asked(state.store, read_selection(state.store, state.study_ids))
        first = job_to_ship(comparison_of(state))
    except QCompareError as error:
        return [empty(translate(error.message))]
    if not selection.spec.prompts:
        return [empty(gettext("This study has no prompts. Add some under New and start again."))]
    if not selection.results:
        text = gettext("No answers yet: they appear here as recipes finish. See Progress for where they are.")
        return [empty(text)]
    waiting = [
        (turns(study.spec.prompts[0])[-1], overview(read_job_progress(state.store, study.id)))
        for study in _asked(state)
        if study.status is not Status.SUCCESS
    ]
    prompts = side_by_side(selection, read_next_tokens(state.store, selection), first)
    return [page("generations", prompts=prompts, waiting=waiting)]
