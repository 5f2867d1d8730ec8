"""What all browsers of an app share."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from qcompare.ui.shared import Memory


def test_who_asks_while_an_answer_is_worked_out_waits_for_it() -> None:
    memory, begun, go, found = Memory(4), threading.Event(), threading.Event(), []

    def find() -> str:
        found.append("once")
        begun.set()
        assert go.wait(20)
        return "answer"

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(memory.answer, "key", find)
        assert begun.wait(20)
        others = [threads.submit(memory.answer, "key", find) for _ in range(2)]
        assert memory.answer("another", lambda: "at once") == "at once"
        go.set()
        assert {each.result(20) for each in (first, *others)} == {"answer"}
    assert found == ["once"]


def test_an_answer_that_failed_is_worked_out_again() -> None:
    memory = Memory(4)
    with pytest.raises(ZeroDivisionError):
        memory.answer("key", lambda: 1 / 0)
    assert memory.answer("key", lambda: 2.0) == 2.0
