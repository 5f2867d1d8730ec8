"""Under the answer: more questions where they would settle it, and what counts as equal."""

from math import ceil
from typing import Any

import gradio as gr

from qcompare.compare.choice import choose
from qcompare.errors import QCompareError
from qcompare.jobs.library import set_margin
from qcompare.jobs.submit import ask_more
from qcompare.plan.more import with_questions
from qcompare.plan.plan import make_plan, question_count
from qcompare.present import numbers
from qcompare.settings import Settings
from qcompare.study.spec import Study
from qcompare.ui.parts import WITH_MESSAGES, PageState, Panel, answer_states, comparison_of, study_exists, warn
from qcompare.ui.server.roles import Right, needs
from qcompare.ui.tabs import TabContext
from qcompare.words import gettext, ngettext


def build_more(context: TabContext) -> Panel:
    """Lay out the row in the current page and wire it."""
    settings, store, study_id = context.settings, context.store, context.study_id
    with gr.Row(visible=False, elem_id="qc-more", elem_classes="qc-needs-launch") as row:
        ask = gr.Button("", visible=False, variant="primary", scale=0, min_width=280, elem_id="qc-ask-more")
        margin = gr.Number(
            1.0, label=gettext("Points that count as equal"), minimum=0, maximum=100, step=0.5,
            scale=0, min_width=320, elem_id="qc-margin",
        )  # fmt: skip

    @needs(Right.LAUNCH)
    def start(study: str) -> list[Any]:
        try:
            more = _wanted(PageState(store, (study,), ""))
            if more is None:
                return [gr.skip(), gr.skip()]
            return [ask_more(store.study(study).id, question_count(more), settings).id, gr.Tabs(selected="progress")]
        except QCompareError as error:
            warn(error)
            return [gr.skip(), gr.skip()]

    @needs(Right.LAUNCH)
    def change(study: str, points: float | None) -> None:
        try:
            if points is not None and points != store.study(study).spec.margin:
                set_margin(study, points, settings)
        except QCompareError as error:
            warn(error)

    ask.click(start, study_id, [study_id, context.tabs], show_progress="minimal", api_visibility="private")
    gr.on([margin.submit, margin.blur], change, [study_id, margin], None, **WITH_MESSAGES | {"preprocess": False})
    return Panel("more", [row, ask, margin], answer_states, lambda state: _show(state, settings))


def _show(state: PageState, settings: Settings) -> list[Any]:
    if not study_exists(state) or comparison_of(state).best is None:
        return [gr.update(visible=False), gr.skip(), gr.skip()]
    study = state.store.study(state.study_id)
    try:
        more = None if study.imported or not study.status.ended else _wanted(state)
    except QCompareError:
        more = None
    return [
        gr.update(visible=True),
        gr.update(visible=more is not None, value=_label(study.spec, more, settings) if more else ""),
        gr.update(value=study.spec.margin),
    ]


def _wanted(state: PageState) -> Study | None:
    """The study with as many questions as would settle it; None where they would not, or need not."""
    choice = choose(comparison_of(state))
    if choice is None or choice.questions_needed is None:
        return None
    study = state.store.study(state.study_id).spec
    # tasks beside the average are asked as many times more
    return with_questions(study, ceil(choice.questions_needed * question_count(study) / choice.questions))


def _label(study: Study, more: Study, settings: Settings) -> str:
    """`Ask 900 more questions (about 6 min)`; without the time where the model is not available now."""
    n = question_count(more) - question_count(study)
    text = ngettext("Ask {n} more question", "Ask {n} more questions", n)
    try:
        seconds = make_plan(more, settings).seconds.likely
    except QCompareError:
        return text
    return f"{text} ({numbers.about(seconds)})"
