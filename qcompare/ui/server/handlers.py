"""What handlers of the screen are called with, and what a caller is told where that is refused: never a 500."""

from html import escape
from typing import Any

import gradio as gr

from qcompare.errors import NotFound, QCompareError
from qcompare.ui.server.gate import note_refusal
from qcompare.ui.server.roles import NotAllowed
from qcompare.words import gettext, translate


class InvalidInput(gr.Error):  # type: ignore[misc]
    """Values that no page of this app sends."""

    def __init__(self) -> None:
        super().__init__(gettext("This does not fit the page: load it again."), print_exception=False)


STATUS: dict[type[Exception], int] = {
    NotAllowed: 403,
    NotFound: 404,
    QCompareError: 400,
    InvalidInput: 422,
    gr.Error: 400,
}
"""Of the answer, by the error; the first that fits."""


TEXTS = (gr.Textbox, gr.HTML, gr.Markdown, gr.Code)


def checked_input(block: Any, value: Any) -> Any:
    """A handler's argument, of the type that the page's own have.

    Args:
        block: the component whose value it is.

    Raises:
        InvalidInput: it cannot be one.
    """
    many = isinstance(block, gr.CheckboxGroup) or getattr(block, "multiselect", False)
    if isinstance(block, TEXTS) or many:
        value = ([] if many else "") if value is None else value
    match block:
        case _ if many:
            fits = isinstance(value, list) and all(isinstance(each, str) for each in value)
        case gr.UploadButton():
            fits = value is not None  # its event comes with a file
        case gr.Dropdown() | gr.Radio():
            chosen = isinstance(value, str) or value in [choice for _, choice in block.choices]
            fits = chosen or (value is None and not _always_chosen(block))
        case gr.Number() | gr.Slider():
            fits = value is None or (isinstance(value, int | float) and not isinstance(value, bool))
        case gr.Checkbox():
            fits = isinstance(value, bool | None)
        case _:
            fits = not isinstance(block, TEXTS) or isinstance(value, str)
    if not fits:
        raise InvalidInput()
    return value


def _always_chosen(block: Any) -> bool:
    """Radio buttons that begin with a choice cannot be left without one."""
    return isinstance(block, gr.Radio) and block.value is not None


def refused(error: Exception, request: Any) -> Exception:
    """What gradio is told of an error, whose status is noted; one that is a fault of ours stays as it is."""
    if isinstance(error, AttributeError) and isinstance(error.obj, gr.EventData):
        error = InvalidInput()
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 0)
    if status and request:
        note_refusal(request, status)
    if isinstance(error, QCompareError):
        told: Exception = gr.Error(escape(translate(error.message), quote=False), print_exception=False)
        return told
    return error
