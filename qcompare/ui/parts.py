"""The pieces of the screen that follow the store, and the one handler that keeps them current.

Each tab hands over a `Part`: what to look at (cheap), and what to show (only when that has changed). Nothing of a
study is kept in the browser or the session but its id, so a reload, a second window and a closed one see the same.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from qcompare.errors import NotFound
from qcompare.store import Store
from qcompare.study.ids import StudyIds
from qcompare.ui.shared import Memory
from qcompare.words import language


@dataclass(frozen=True)
class Place:
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


@dataclass(frozen=True)
class Part:
    """Some components that show something of a study."""

    name: str
    outputs: Sequence[gr.blocks.Block]
    token: Callable[[Place], Hashable]
    """Changes whenever what is shown would change."""
    show: Callable[[Place], Sequence[Any]]
    """New values of the outputs."""


DRAWN = Memory(64)
"""What parts showed last: browsers on the same study get the same."""

Seen = dict[str, Hashable]
"""The token of each part as last shown to this visitor."""


def refresh(parts: Sequence[Part], place: Place, seen: Seen) -> tuple[Seen, list[Any]]:
    """Values for the outputs of all parts; what has not changed is skipped, so that nothing moves on screen."""
    now: Seen = dict(seen)
    values: list[Any] = []
    for part in parts:
        token = part.token(place)
        if seen.get(part.name) == token:
            values += [gr.skip()] * len(part.outputs)
            continue
        now[part.name] = token
        key = (language(), place.store.home, part.name, token)
        shown = DRAWN.answer(key, lambda part=part: list(part.show(place)))  # type: ignore[misc]
        values += [dict(value) if isinstance(value, dict) else value for value in shown]
    return now, values


def study_exists(place: Place) -> bool:
    """The study that the address names is in the store."""
    try:
        return bool(place.study_id) and place.store.study(place.study_id).id == place.study_id
    except NotFound:
        return False


def job_states(place: Place) -> Hashable:
    """A token that changes when a job of the study, or of one of the studies, begins or ends."""
    jobs = (job for study_id in place.study_ids for job in place.store.jobs(study_id))
    return place.study_ids, tuple((job.id, job.status) for job in jobs)


def markup(html: str = "", **options: Any) -> gr.HTML:
    """An HTML component that brings no style of its own; the look is all in `assets/style.css`."""
    return gr.HTML(html, apply_default_css=False, padding=False, **options)
