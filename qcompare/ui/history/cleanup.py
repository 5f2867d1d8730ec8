"""Under History: remove what no stored study needs, after saying what that is and how much it frees."""

from typing import Any

import gradio as gr

from qcompare.errors import QCompareError
from qcompare.plan.capacity import free_disk
from qcompare.present import numbers
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.store.garbage import find, remove
from qcompare.ui.pages import page
from qcompare.ui.parts import markup
from qcompare.ui.server.roles import Right, needs
from qcompare.words import gettext, translate

LISTED = 12
"""Largest pieces that are named one by one."""
SPOKEN: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private"}


def build_cleanup(settings: Settings) -> None:
    """Lay out the card in the current page and wire it."""
    with gr.Column(elem_id="qc-cleanup", elem_classes=["qc-card", "qc-needs-delete"]):
        said = markup(page("cleanup", found=None, free=None))
        with gr.Row(elem_classes="qc-buttons"):
            look = gr.Button(gettext("Look for leftovers"), size="sm", min_width=144)
            sure = gr.Button("", visible=False, variant="stop", size="sm", min_width=144)
    look.click(needs(Right.DELETE)(lambda: looked(settings)), None, [said, sure], **SPOKEN)
    sure.click(needs(Right.DELETE)(lambda: _removed(settings)), None, [said, sure], **SPOKEN)


def looked(settings: Settings) -> list[Any]:
    """What can go, in words, and the button that lets it go."""
    hidden = gr.update(visible=False)
    try:
        found = find(Store(settings.home))
    except QCompareError as error:
        return [page("cleanup", found=None, free=None, error=translate(error.message)), hidden]
    total = sum(each.num_bytes for each in found)
    lines = [(str(each.path.relative_to(settings.home)), each) for each in found[:LISTED]]
    said = page(
        "cleanup", found=found, lines=lines, more=len(found) - len(lines), total=total, free=free_disk(settings.home)
    )
    return [
        said,
        gr.update(value=gettext("Remove, free {size}", size=numbers.size(total)), visible=True) if found else hidden,
    ]


def _removed(settings: Settings) -> list[Any]:
    """Look again, so that nothing goes that came to be needed meanwhile."""
    try:
        freed = remove(find(Store(settings.home)))
    except QCompareError as error:
        return [page("cleanup", found=None, free=None, error=translate(error.message)), gr.update(visible=False)]
    gr.Info(gettext("{size} freed.", size=numbers.size(freed)), duration=4)
    return looked(settings)
