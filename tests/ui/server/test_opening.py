"""What a page shows before its address has been read."""

from typing import Any

from qcompare.ui.parts import OPENING
from tests.synthetic import finished_study
from tests.ui.server.conftest import Served

NOTHING = {"__type__": "update"}
"""Gradio's value of an output that stays as it is."""


def handlers(served: Served, name: str) -> list[Any]:
    return [each.fn for each in served.blocks.fns.values() if getattr(each.fn, "__qualname__", "").startswith(name)]


def test_no_panel_says_that_no_study_is_open_before_the_address_is_read(local: Served) -> None:
    finished_study(local.settings.home)
    page = next(each for each in local.blocks.fns.values() if getattr(each.fn, "__name__", "") == "open_page")
    assert page.outputs[0].value == OPENING
    follows = [fn for fn in handlers(local, "_follow.<locals>.follow") if fn.__name__ == "follow"]
    assert all(value == NOTHING for follow in follows for value in follow(OPENING, "", {}))
    said = [str(value) for follow in dict.fromkeys(follows) for value in follow("", "", {})]
    assert sum("No study is open" in value for value in said) == 3  # Results, Generations, Explorer
    client = local.client()
    assert client.get("/updates", params={"study": OPENING, "rows": ""}).json() == {"stamp": "", "live": {}}
    found = client.get("/updates", params={"study": "", "rows": ""}).json()
    assert found["stamp"] and "No study is open" in found["live"]["rows"]["html"]
