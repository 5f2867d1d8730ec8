"""What others made of the model: the hub is searched for quantized versions, a GGUF file can be dropped, and a server
named by its address."""

import shutil
from pathlib import Path
from typing import Any

import gradio as gr

from qcompare.errors import InvalidStudy, ModelUnavailable, QCompareError
from qcompare.models.gguf import read_gguf
from qcompare.models.search import FoundModel, search_checkpoints
from qcompare.settings import Settings
from qcompare.ui.new import form
from qcompare.ui.new.model_search import seeks
from qcompare.ui.pages import page
from qcompare.ui.parts import QUIET, WITH_MESSAGES, markup, warn
from qcompare.ui.server.roles import Right, may, needs, visitor
from qcompare.words import gettext, gettext_noop, translate

NOTHING_FOUND = gettext_noop(
    "No quantized version of this model matches that name. A full org/name, a folder or a file may still do."
)


def build_compare_with(settings: Settings, source: gr.Radio, name: gr.Textbox) -> gr.CheckboxGroup:
    """Lay out the field, its list, the file button and what is chosen, in the current page.

    Args:
        source: where the study's model comes from.
        name: the study's model.
    """
    with gr.Accordion(gettext("Compare with"), open=False):
        typed = gr.Textbox(
            label=gettext("A quantized model that exists already"),
            placeholder=gettext("org/name, a folder, a .gguf file or http://server/v1"),
            info=gettext("GPTQ, AWQ, FP8, NVFP4, auto-round, GGUF … or a server. Press Enter to add what you typed."),
            max_lines=1, elem_id="qc-compare",
        )  # fmt: skip
        found = markup(elem_id="qc-found-checkpoints", js_on_load=seeks("#qc-compare"))
        chosen = gr.CheckboxGroup(
            [], label=gettext("Chosen"), visible=False, elem_classes="qc-choices", elem_id="qc-compared"
        )
        given = gr.File(label=gettext("A GGUF file"), file_types=[".gguf"], height=136, elem_id="qc-gguf")

    def seek(source: str, name: str | None, event: gr.EventData) -> str:
        return checkpoints_html(name or "" if source == form.HUB else "", str(event.text), settings)

    def pick(already: list[str], event: gr.EventData) -> list[Any]:
        picked = str(event.name)
        if picked.endswith(":"):  # a repository of GGUF files: which one?
            return [gr.skip(), picked, checkpoints_html("", picked, settings)]
        return [chosen_with(already, picked), "", ""]

    found.seek(seek, [source, name], found, trigger_mode="always_last", **QUIET)
    found.pick(pick, chosen, [chosen, typed, found], **WITH_MESSAGES)
    typed.submit(_typed, [typed, chosen], [chosen, typed, found], **WITH_MESSAGES)
    given.upload(
        needs(Right.LAUNCH)(lambda path, already: _dropped(path, already, settings)),
        [given, chosen], [chosen, given], **WITH_MESSAGES,
    )  # fmt: skip
    return chosen


def checkpoints_html(base: str, text: str, settings: Settings) -> str:
    """Quantized versions of a model on the hub whose names hold a text; a quiet line where there are none."""
    if not may(Right.LAUNCH):
        return ""
    versions: tuple[FoundModel, ...] = ()
    try:
        versions, note = search_checkpoints(base.partition("@")[0].strip(), text.strip(), settings), ""
    except ModelUnavailable as error:
        note = translate(error.message)
    if not (versions or note):
        if not (base or text):
            return ""
        note = gettext(NOTHING_FOUND)
    return page("models", groups=[(gettext("On the hub"), versions)], note=note)


def chosen_with(already: list[str], *names: str) -> Any:
    """The choice with more checkpoints, all ticked."""
    every = list(dict.fromkeys([*already, *names]))
    choices = [(f"{form.checkpoint_recipe(each).row_title}\n{each}", each) for each in every]
    return gr.update(choices=choices, value=every, visible=bool(every))


def _typed(name: str, already: list[str]) -> list[Any]:
    try:
        return [chosen_with(already, name.strip()), "", ""] if name.strip() else [gr.skip()] * 3
    except QCompareError as error:
        warn(error)
        return [gr.skip()] * 3


def _dropped(path: str | None, already: list[str], settings: Settings) -> list[Any]:
    """Gradio's copy is readable by its address, so the file moves into the home at once."""
    if path is None:
        return [gr.skip(), gr.skip()]
    try:
        read_gguf(Path(path))
    except QCompareError as error:
        warn(error)
        return [gr.skip(), None]
    folder = settings.home / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / Path(path).name
    if kept.exists() and visitor().home is not None:
        warn(InvalidStudy("a file named {name} is here already: give yours another name", name=kept.name))
        return [gr.skip(), None]
    shutil.move(path, kept)
    return [chosen_with(already, str(kept)), None]
