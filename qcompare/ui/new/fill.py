"""Fill the form of New with a study that exists: a stored one, or a study file."""

from dataclasses import asdict, fields
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from qcompare.errors import QCompareError
from qcompare.settings import Settings
from qcompare.study.reading import load_study
from qcompare.study.spec import Study
from qcompare.study.task import TASKS
from qcompare.ui.new.compare_with import chosen_with
from qcompare.ui.new.form import StudyForm
from qcompare.ui.new.task_picker import task_choices
from qcompare.ui.server.confine import check_paths
from qcompare.words import translate

NAMES = tuple(field.name for field in fields(StudyForm))
FIELDS = len(NAMES)
"""Widgets of the form, in the order of `StudyForm`."""


def fill(study: Study, settings: Settings) -> list[Any]:
    """The values of the form's widgets. What no widget shows is kept beside them."""
    asked = StudyForm.like(study, settings)
    values = asdict(asked)
    if {*asked.tasks} - {*TASKS}:
        values["tasks"] = gr.update(choices=task_choices(asked.tasks), value=asked.tasks)
    values["checkpoints"] = chosen_with(asked.checkpoints)
    return [values[name] for name in NAMES]


def fill_from_file(path: str | None, settings: Settings) -> list[Any]:
    """The same from a study file; a file that is not one changes nothing and shows one line."""
    if path is None:
        return [gr.skip()] * FIELDS
    try:
        return fill(load_study(Path(path), check_paths), settings)
    except QCompareError as error:
        said = translate(error.message).replace(path, Path(path).name)
        gr.Warning(escape(said, quote=False))  # Gradio shows a message as HTML
        return [gr.skip()] * FIELDS
