"""Which model: the hub is searched while a name is typed, and what this machine holds is offered with it."""

from typing import Any

import gradio as gr

from qcompare.errors import ModelUnavailable
from qcompare.models.search import cached_models, search_hub
from qcompare.settings import Settings
from qcompare.ui.new import form
from qcompare.ui.pages import page
from qcompare.ui.parts import markup
from qcompare.ui.server.roles import Right, may
from qcompare.words import gettext, gettext_noop, translate

SEEK = """
let waiting;
const seek = (event) => {
  const field = event.target.closest('FIELD') && event.target;
  clearTimeout(waiting);
  if (field) waiting = setTimeout(() => trigger('seek', {text: field.value}), event.type === 'input' ? 300 : 0);
};
document.addEventListener('input', seek);
document.addEventListener('focusin', seek);
window.qcompare.presses(element, '[data-pick]', (pressed) => trigger('pick', {name: pressed.pick}));
"""
"""Asks when typing has paused, not at every letter."""
NO_MATCH = gettext_noop(
    "No model of that name that could be compared (text generation, safetensors). A full org/name may still do."
)


def seeks(field: str) -> str:
    """The script of a list that follows what is typed into a field; its `pick` event names what was pressed."""
    return SEEK.replace("FIELD", field)


QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def build_model_search(settings: Settings, source: gr.Radio, name: gr.Textbox) -> gr.HTML:
    """Lay out the list in the current page; its `pick` event names the model that was pressed."""
    found = markup(elem_id="qc-found", js_on_load=seeks("#qc-model"))

    def seek(source: str, event: gr.EventData) -> str:
        return models_html(str(event.text), settings) if source == form.HUB else ""

    found.seek(seek, source, found, trigger_mode="always_last", **QUIET)
    source.change(lambda source: "", source, found, **QUIET)
    return found


def picked_model(event: gr.EventData) -> list[Any]:
    """The name that was pressed, and a list that has gone."""
    return [str(event.name), ""]


def models_html(text: str, settings: Settings) -> str:
    """What a text may mean: models held here, then the hub's; a quiet line where the hub is not reached."""
    if not may(Right.LAUNCH):
        return ""
    held = cached_models(text.partition("@")[0].strip())
    try:
        online, note = search_hub(text, settings), ""
    except ModelUnavailable as error:
        online, note = (), translate(error.message)
    if not (held or online or note):
        note = gettext(NO_MATCH)
    here = {model.name for model in held}
    groups = [
        (gettext("On this machine"), held),
        (gettext("On the hub"), tuple(model for model in online if model.name not in here)),
    ]
    return page("models", groups=groups, note=note)
