"""Which tasks: lm-eval's names are searched while one is typed, and a file of one's own questions can be dropped."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gradio as gr

from qcompare.errors import InvalidStudy, QCompareError
from qcompare.evaluate.tasks.find import search
from qcompare.evaluate.tasks.index import is_index_read, lm_eval_index
from qcompare.evaluate.tasks.questions import SUFFIXES, keep, prepare
from qcompare.settings import Settings
from qcompare.study.task import TASKS, is_file, short_name
from qcompare.ui.new.model_search import seeks
from qcompare.ui.pages import page
from qcompare.ui.parts import WITH_MESSAGES, markup, warn
from qcompare.ui.server.confine import allowed
from qcompare.ui.server.roles import Right, needs
from qcompare.words import gettext

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def build_task_picker(settings: Settings, tasks: gr.CheckboxGroup) -> None:
    """Lay out the field, its list and the file button in the current page; what is picked is ticked in `tasks`."""
    typed = gr.Textbox(
        label=gettext("Any other task of lm-eval"),
        placeholder=gettext("type to search, such as arc or wikitext"),
        max_lines=1,
        elem_id="qc-task",
    )
    found = markup(elem_id="qc-found-tasks", js_on_load=seeks("#qc-task"))
    given = gr.File(
        label=gettext("Your own questions: CSV, JSONL or Excel"), file_types=list(SUFFIXES), height=152,
        elem_id="qc-questions-file",
    )  # fmt: skip
    markup(page("question_columns"))
    preview = markup(elem_id="qc-questions-preview")
    read = gr.Textbox(visible=False)
    typed.focus(_read_index, None, read, **QUIET)
    read.change(_list, typed, found, **QUIET)  # what was typed before all names were known
    found.seek(_listed, None, found, trigger_mode="always_last", **QUIET)
    found.pick(_picked, tasks, [tasks, typed, found], **WITH_MESSAGES)
    typed.submit(_typed, [typed, tasks], [tasks, typed, found], **WITH_MESSAGES)

    @needs(Right.LAUNCH)
    def upload(path: str | None, chosen: list[str]) -> list[Any]:
        return _dropped(path, chosen, settings)

    given.upload(upload, [given, tasks], [tasks, given, preview], **WITH_MESSAGES)
    tasks.change(lambda chosen: previews(chosen, settings), tasks, preview, **QUIET)


def task_choices(chosen: Iterable[str]) -> list[tuple[str, str]]:
    """The tasks on offer, and those that are chosen besides."""
    return [(_text(name), name) for name in dict.fromkeys([*TASKS, *chosen])]


def _text(name: str) -> str:
    task = TASKS.get(name)
    title = task.title if task and name in TASKS else short_name(name)
    text = gettext(task.text) if task else gettext("It is no longer there.")
    return f"{title}\n{text}"


def _read_index() -> str:
    lm_eval_index()
    return "read"


def _listed(event: gr.EventData) -> str:
    return _list(str(event.text))


def _list(text: str) -> str:
    return page("tasks", tasks=search(text), asked=text.strip(), complete=is_index_read())


def _picked(chosen: list[str], event: gr.EventData) -> list[Any]:
    name = str(event.name)
    return [gr.skip()] * 3 if is_file(name) else [_with(chosen, TASKS.expand(name)), "", ""]


def _typed(name: str, chosen: list[str]) -> list[Any]:
    try:
        if is_file(name.strip()):  # whoever reaches the page could read the server's files
            raise InvalidStudy("drop a file below, or name it in a study file")
        return [_with(chosen, TASKS.expand(name.strip())), "", ""] if name.strip() else [gr.skip()] * 3
    except QCompareError as error:
        warn(error)
        return [gr.skip()] * 3


def _with(chosen: list[str], names: Iterable[str]) -> Any:
    all_names = [name for name in dict.fromkeys([*chosen, *names]) if allowed(name)]
    return gr.update(choices=task_choices(all_names), value=all_names)


def _dropped(path: str | None, chosen: list[str], settings: Settings) -> list[Any]:
    if path is None:
        return [gr.skip()] * 3
    try:
        kept = str(keep(Path(path), settings.home))
    except QCompareError as error:
        return [gr.skip(), None, page("question_error", error=error)]
    return [_with(chosen, [kept]), None, previews([*chosen, kept], settings)]


def previews(chosen: Iterable[str], settings: Settings) -> str:
    """The first questions of each chosen file, as the model will see them."""
    files = [Path(name) for name in chosen if name.lower().endswith(SUFFIXES) and allowed(name)]
    found = [prepare(path, settings.home) for path in files if path.is_file()]
    return page("questions_preview", files=found) if found else ""
