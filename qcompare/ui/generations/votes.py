"""Blind votes: kept as they are given, and shown pooled once the names are revealed (`assets/blind.js`)."""

import json
import re
import time
from collections.abc import Hashable, Mapping
from typing import Any

import gradio as gr

from qcompare.compare.asked import with_asked
from qcompare.compare.selection import Selection, read_selection
from qcompare.compare.votes import answers_of, pooled
from qcompare.errors import InvalidStudy, QCompareError
from qcompare.store import Store
from qcompare.study.ids import format_ids, parse_ids
from qcompare.study.prompts import Prompt
from qcompare.study.vote import Vote
from qcompare.ui.pages import page
from qcompare.ui.parts import WITH_MESSAGES, PageState, Panel, job_states, markup, warn
from qcompare.ui.server.limits import RateLimit
from qcompare.ui.server.roles import Right, needs, visitor
from qcompare.ui.tabs import TabContext
from qcompare.words import gettext

CAST = "window.qcompare.castVote = (vote) => trigger('vote', vote);"
VOTES_AN_HOUR = 600
"""Of one address in an exhibition: a room of visitors may share one."""
BROWSER = re.compile(r"[A-Za-z0-9-]{8,64}")
_limit = RateLimit(VOTES_AN_HOUR, 3600)


def build_votes(context: TabContext) -> Panel:
    """Lay out the pooled votes in the current page, and what the page's script casts a vote with."""
    shown = markup("", js_on_load=CAST, elem_id="qc-votes")

    @needs(Right.VOTE)
    def vote(event: gr.EventData, study: str) -> Any:
        state = PageState(context.store, parse_ids(study or ""), "")
        try:
            cast(state, {name: getattr(event, name, None) for name in ("prompt", "chosen", "shown", "browser")})
            return _show(state)[0]
        except QCompareError as error:
            warn(error)
            return gr.skip()

    shown.vote(vote, context.study_id, shown, **WITH_MESSAGES)
    return Panel("votes", [shown], _token, _show)


def cast(state: PageState, given: Mapping[str, Any]) -> Vote:
    """Keep a vote as it came from a browser: everything in it is checked.

    Args:
        given: `prompt` as JSON, `chosen` and `shown` as job ids, `browser`: any name that it keeps.

    Raises:
        QCompareError: it is no vote on what the visitor sees, or there were too many; nothing was stored.
    """
    selection = _selection(state)
    prompt = _prompt(selection, given["prompt"])
    answered = {result.job_id for result in selection.results if prompt in answers_of(result, selection.spec.prompts)}
    listed = given["shown"] if isinstance(given["shown"], list) else []
    shown = tuple(dict.fromkeys(job_id for job_id in map(str, listed) if job_id in answered))
    if str(given["chosen"]) not in shown:
        raise InvalidStudy("that answer cannot be voted for: load the page again")
    who = visitor()
    if who.limited and (wait := _limit.take(f"address {who.address}")):
        raise QCompareError(
            "at most {n} votes an hour: try again in {minutes} minutes", n=VOTES_AN_HOUR, minutes=-(-wait // 60)
        )
    found = Vote(
        studies=format_ids(state.study_ids),
        prompt=prompt,
        voter=who.key or _browser(given["browser"]),
        chosen=str(given["chosen"]),
        shown=shown,
        time=time.time(),
    )
    state.store.add_vote(found)
    return found


def _browser(name: object) -> str:
    """On one's own machine nobody logs in: browsers are told apart."""
    text = str(name or "")
    return f"browser {text}" if BROWSER.fullmatch(text) else "owner"


def _prompt(selection: Selection, given: object) -> Prompt:
    found = next((prompt for prompt in selection.spec.prompts if json.dumps(prompt) == given), None)
    if found is None:
        raise InvalidStudy("that prompt is no longer there: load the page again")
    return found


def _selection(state: PageState) -> Selection:
    if not state.study_ids:
        raise InvalidStudy("no study is open: choose one to vote on its answers")
    return with_asked(state.store, read_selection(state.store, state.study_ids))


def _token(state: PageState) -> Hashable:
    return job_states(state), tuple((vote.voter, vote.time) for vote in _votes(state.store, state))


def _votes(store: Store, state: PageState) -> list[Vote]:
    return store.votes(format_ids(state.study_ids)) if state.study_ids else []


def _show(state: PageState) -> list[Any]:
    votes = _votes(state.store, state)
    if not votes:
        return [""]
    try:
        found = pooled(_selection(state), votes)
    except QCompareError:
        return [""]
    caption = gettext("Blind votes of all voters")
    return [page("votes", caption=caption, found=found) if found.votes else ""]
