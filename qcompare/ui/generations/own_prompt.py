"""Your own prompt on chosen recipes of a study: queued as a small study of that prompt alone, whose answers appear in
the study that it was asked of.

A prompt may follow up on one of the study's: then the small study asks the conversation so far, and the new turn.
"""

import time
from collections.abc import Hashable
from typing import Any

import gradio as gr

from qcompare.compare.asked import with_asked
from qcompare.compare.selection import read_selection, with_cache
from qcompare.errors import InvalidStudy, QCompareError
from qcompare.jobs.submit import submit
from qcompare.store import Store
from qcompare.study.prompts import Prompt, turns
from qcompare.study.reading import parse_study
from qcompare.study.spec import Study
from qcompare.ui.parts import PageState, Panel, study_exists, warn
from qcompare.ui.tabs import TabContext
from qcompare.words import Message, gettext, translate, verbatim

NAME_LETTERS = 40
"""Of a prompt, in the name of its study."""
CHOICE_LETTERS = 40
"""Of each turn of a prompt, where one is chosen to follow up on."""
NEW = ""
"""Where a prompt follows up on nothing."""


def build_own_prompt(context: TabContext) -> Panel:
    """Lay out the fold in the current page."""
    settings = context.settings
    with gr.Accordion(gettext("Ask your own prompt"), open=False, visible=False, elem_id="qc-own") as fold:
        prompt = gr.Textbox(label=gettext("Prompt"), lines=2, max_lines=8, elem_id="qc-own-prompt")
        before = gr.Dropdown([], label=gettext("Follows up on"), elem_id="qc-own-before")
        recipes = gr.CheckboxGroup([], label=gettext("Recipes, loaded one after another"))
        ask = gr.Button(gettext("Ask"), variant="primary", scale=0, min_width=120)

    def start(study: str, text: str, follows: str | None, chosen: list[str]) -> Any:
        try:
            record = Store(settings.home).study(study)
            talks = _prompts(Store(settings.home), record.id)
            asked = prompt_study(record.spec, text, chosen, talks[int(follows)] if follows else None)
            name = f"Prompt: {' '.join(text.split())[:NAME_LETTERS]}"
            submit(asked, settings, name=name, asked_of=record.asked_of or record.id)
        except QCompareError as error:
            warn(error)
            return [gr.skip(), gr.skip()]
        gr.Info(gettext("Asked: the answers appear below as recipes finish."), duration=4)
        return ["", str(time.time())]

    ask.click(
        start, [context.study_id, prompt, before, recipes], [prompt, context.acted],
        show_progress="minimal", api_visibility="private",
    )  # fmt: skip
    return Panel("own prompt", [fold, before, recipes], _token, _offered)


def _prompts(store: Store, study_id: str) -> tuple[Prompt, ...]:
    """Those of the study, and those asked of it since."""
    return with_asked(store, read_selection(store, (study_id,))).spec.prompts


def _token(state: PageState) -> Hashable:
    return state.study_id, len(state.store.asked_of(state.study_id))


def prompt_study(study: Study, prompt: str, recipes: list[str], before: Prompt | None = None) -> Study:
    """A study of one prompt: model, schemes, budgets and everything else as in the study it starts from.

    Args:
        before: the prompt is the next turn after this one.

    Raises:
        InvalidStudy: the prompt is empty or too long, or no recipe is chosen.
    """
    if not prompt.strip():
        raise InvalidStudy("the prompt is empty: type one")
    asked = prompt if before is None else (*turns(before), prompt)
    chosen = [study.recipes[int(index)] for index in recipes]
    changes = {"prompts": [asked], "recipes": chosen, "tasks": [], "divergence": None}
    return parse_study(study.model_dump() | changes, gettext("prompt"))


def _offered(state: PageState) -> list[Any]:
    if not study_exists(state):
        return [gr.update(visible=False), gr.skip(), gr.skip()]
    spec = state.store.study(state.study_id).spec
    names = [verbatim(recipe.row_title) if recipe.row_title else Message(recipe.label) for recipe in spec.recipes]
    titles = [translate(with_cache(*pair)) for pair in zip(names, spec.recipes, strict=True)]
    choices = [(title, str(index)) for index, title in enumerate(titles)]
    prompts = _prompts(state.store, state.study_id)
    talks = [(" › ".join(map(_shortened, turns(prompt))), str(number)) for number, prompt in enumerate(prompts)]
    return [
        gr.update(visible=True),
        gr.update(
            choices=[(gettext("Nothing: a new conversation"), NEW), *talks],
            value="0" if len(talks) == 1 and not spec.tasks else NEW,
        ),
        gr.update(choices=choices, value=[value for _, value in choices]),
    ]


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= CHOICE_LETTERS else f"{line[: CHOICE_LETTERS - 1]}…"
