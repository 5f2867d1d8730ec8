"""JSON lines as other programs write them."""

import json
from pathlib import Path

import pytest

from qcompare.recipes.calibration import local_texts
from qcompare.store import JobFolder
from qcompare.study.json_lines import json_lines
from qcompare.study.records import Progress


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("text", ["a\u2028b", "a\x85b", "a\u2029", "a\x0cb", "plain", "tab\there"])
def test_lines_end_where_json_lines_do(text: str, end: str) -> None:
    lines = json_lines(json.dumps({"text": text}, ensure_ascii=False) + end + end + '{"text": "second"}')
    assert [json.loads(line)["text"] for line in lines] == [text, "second"]


def test_calibration_text_may_hold_any_separator_and_a_byte_order_mark(tmp_path: Path) -> None:
    """Editors of Windows begin a file with one."""
    path = tmp_path / "text.jsonl"
    path.write_bytes('\ufeff{"text": "a\u2028b"}\r\n{"text": "c"}\r\n'.encode())
    assert local_texts(path) == ("a\u2028b", "c")


def test_an_event_is_one_line_whatever_it_says(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    progress = Progress.model_validate({"time": 1.0, "stage": "a\u2028b"})
    folder.report(progress)
    assert folder.events.read_bytes().count(b"\n") == 1 and b"\r" not in folder.events.read_bytes()
    assert folder.progress() == progress
