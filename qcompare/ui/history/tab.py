"""History: all stored studies; search, tags, several side by side, import. The chosen one is `chosen`'s matter."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from qcompare.compare.selection import read_selection
from qcompare.compare.settings_diff import read_settings_diff
from qcompare.errors import QCompareError
from qcompare.present.published_tables import published_tables_html
from qcompare.present.settings_diff import settings_diff_html
from qcompare.settings import Settings
from qcompare.store import Store, packing
from qcompare.study.ids import format_ids, parse_ids
from qcompare.study.model_name import model_title
from qcompare.study.records import Status, StudyRecord
from qcompare.ui.history.chosen import build_chosen
from qcompare.ui.history.cleanup import build_cleanup
from qcompare.ui.pages import page
from qcompare.ui.parts import QUIET, WITH_MESSAGES, PageState, Panel, markup, warn, warn_on_error
from qcompare.ui.server.roles import Right, needs
from qcompare.ui.tabs import Tab, TabContext
from qcompare.ui.texts import STATUS_WORDS
from qcompare.words import gettext, gettext_noop, ngettext

SHOWN = 50
"""Studies of the list; so many more at a press."""
ANY = "any state"
PRESSES = """
window.qcompare.presses(element, '[data-study], [data-look], [data-compare]', (pressed) => {
  if (pressed.study) {
    trigger('pick', {study: pressed.study});
    setTimeout(() => document.querySelector('#qc-chosen')?.scrollIntoView({block: 'nearest'}), 400);
  }
  else if (pressed.look) trigger('look', {look: pressed.look, name: pressed.name});
  else trigger('compare', {});
});
"""


@dataclass(frozen=True)
class View:
    """What a visitor has set in the list itself."""

    tag: str = ""
    """Only studies with it; empty: all."""
    ticked: tuple[str, ...] = ()
    """Ids of the studies to be looked at side by side."""
    limit: int = SHOWN

    def after(self, look: str, name: str) -> "View":
        """After a press: `tick` and `tag` are switched, `clear` unticks all, `more` lengthens the list."""
        match look:
            case "tick":
                others = tuple(each for each in self.ticked if each != name)
                return replace(self, ticked=others if name in self.ticked else (*others, name))
            case "tag":
                return replace(self, tag="" if self.tag == name else name, limit=SHOWN)
            case "clear":
                return replace(self, ticked=())
            case "more":
                return replace(self, limit=self.limit + SHOWN)
        return self


def build_history(context: TabContext) -> list[Panel]:
    """Lay out the tab in the current page."""
    settings, store, study_id = context.settings, context.store, context.study_id
    view, stamp = gr.State(View()), gr.Textbox(visible=False)
    with gr.Row(elem_id="qc-find", equal_height=True):
        search = gr.Textbox(
            label=gettext("Search"),
            placeholder=gettext("name, model, recipe, tag"),
            max_lines=1,
            scale=3,
            min_width=160,
        )
        states = [(gettext(STATUS_WORDS[status.value]).capitalize(), status.value) for status in Status]
        state = gr.Dropdown(
            [(gettext("Any state"), ANY), *states], value=ANY, label=gettext("State"), scale=1, min_width=144
        )
        incoming = gr.UploadButton(
            gettext("Import study"), file_types=[".zip"], scale=0, min_width=184, size="sm",
            elem_classes="qc-needs-launch",
        )  # fmt: skip
    with gr.Row(elem_id="qc-library", equal_height=False):
        rows = markup(elem_id="qc-history", js_on_load=PRESSES, scale=5, min_width=320)
        with gr.Column(elem_id="qc-aside", scale=3, min_width=320):
            chosen = build_chosen(context)
            build_cleanup(settings)

    with gr.Accordion(gettext("Published tables"), open=False, elem_id="qc-published"):
        markup(published_tables_html())

    def show(*values: Any) -> str:
        return history_rows(store, *values)

    def look(event: gr.EventData, view: View, *values: Any) -> list[Any]:
        now = view.after(str(event.look), str(event.name))
        return [now, show(now, *values)]

    asked = [view, search, state, study_id]
    gr.on(
        [search.input, state.input, stamp.change, study_id.change], show, asked, rows,
        trigger_mode="always_last", **QUIET,
    )  # fmt: skip
    rows.look(look, asked, [view, rows], **QUIET)
    rows.pick(_picked, None, study_id, **QUIET)
    rows.compare(comparer(store), view, [study_id, context.tabs], **WITH_MESSAGES)
    incoming.upload(_importer(settings), [incoming, study_id], study_id, api_visibility="private")
    listed = Panel("history", [stamp], _token, lambda state: [str(hash(_token(state)))])
    return [listed, chosen]


TAB = Tab(gettext_noop("History"), build_history)


def _picked(event: gr.EventData) -> str:
    return str(event.study)


def comparer(store: Store) -> Callable[[View], list[Any]]:
    """The handler that shows the ticked studies side by side; says in one line why they cannot be."""

    def compare(view: View) -> list[Any]:
        try:
            return [format_ids(read_selection(store, tuple(view.ticked)).ids), gr.Tabs(selected="results")]
        except QCompareError as error:
            warn(error)
            return [gr.skip(), gr.skip()]

    return compare


def history_rows(store: Store, view: View, search: str, state: str | None, chosen: str) -> str:
    """The list as HTML: the newest that match."""
    studies = [study for study in store.studies() if not study.asked_of]
    found = store.search(search or "", None if state in (ANY, None) else Status(state), view.tag)
    tags = Counter(tag for study in studies for tag in study.tags)
    here = {study.id for study in studies}
    ticked = [study_id for study_id in view.ticked if study_id in here]
    return page(
        "history",
        studies=found[: view.limit],
        found=len(found),
        total=len(studies),
        size=sum(study.size_bytes for study in found),
        tags=sorted(tags.items(), key=lambda each: each[0].lower()),
        tag=view.tag,
        ticked=ticked,
        chosen=parse_ids(chosen),
        words=STATUS_WORDS,
        asked=asked_in_words,
        diff=_diff(store, ticked),
    )


def _diff(store: Store, ticked: Sequence[str]) -> str:
    """The settings in which the ticked studies differ; empty where there are no two."""
    if len(ticked) < 2:
        return ""
    try:
        return settings_diff_html(read_settings_diff(store, tuple(ticked)))
    except QCompareError as error:
        return page("diff_error", error=error)


def asked_in_words(study: StudyRecord) -> str:
    """`SmolLM2 · 5 recipes · 4 tasks · 25 questions each`: what a study asked."""
    spec = study.spec
    parts = [model_title(spec.model), ngettext("{n} recipe", "{n} recipes", len(spec.recipes))]
    if not spec.tasks:
        return " · ".join([*parts, ngettext("{n} prompt", "{n} prompts", len(spec.prompts))])
    each = (
        gettext("all questions")
        if spec.limit is None
        else ngettext("{n} question each", "{n} questions each", spec.limit)
    )
    return " · ".join([*parts, ngettext("{n} task", "{n} tasks", len(spec.tasks)), each])


def _token(state: PageState) -> Hashable:
    return state.store.version()


def _importer(settings: Settings) -> Callable[[str, str], str]:
    @needs(Right.LAUNCH)
    def take(path: str, study_id: str) -> str:
        return warn_on_error(lambda: packing.unpack(Store(settings.home), Path(path)), study_id)

    return take
