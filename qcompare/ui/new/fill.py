"""Fill the form of New with a study that exists: a stored one, or a study file."""

from dataclasses import astuple
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
from qcompare.words import gettext, translate

TASKS_FIELD = 5
FIELDS = 10
"""Widgets of the form, in the order of `StudyForm`."""


def fill(study: Study, settings: Settings) -> list[Any]:
    """The values of the form's widgets; says which settings of the study the form has no field for."""
    asked = StudyForm.like(study, settings)
    again = asked.study().model_dump()
    if other := [field for field, value in study.model_dump().items() if again[field] != value]:
        gr.Warning(
            gettext(
                "The form has no field for: {fields}. Use the study file for these.", fields=escape(", ".join(other))
            )
        )
    values = list(astuple(asked))
    if {*asked.tasks} - {*TASKS}:
        values[TASKS_FIELD] = gr.update(choices=task_choices(asked.tasks), value=asked.tasks)
    values[-1] = chosen_with(asked.checkpoints)
    return values


def fill_from_file(path: str | None, settings: Settings) -> list[Any]:
    """The same from a study file; a file that is not one changes nothing and shows one line."""
    if path is None:
        return [gr.skip()] * FIELDS
    try:
        return fill(load_study(Path(path)), settings)
    except QCompareError as error:
        said = translate(error.message).replace(path, Path(path).name)
        gr.Warning(escape(said, quote=False))  # Gradio shows a message as HTML
        return [gr.skip()] * FIELDS
