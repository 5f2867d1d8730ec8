"""Messages are stored as template and values, are read again, and are translated where they are shown."""

import json
from pathlib import Path

import pytest

from qcompare.compare.table import Row
from qcompare.store import Store
from qcompare.study.messages import message_column, read_message, write_message
from qcompare.study.records import FailureKind, Progress, Status
from qcompare.study.spec import Study
from qcompare.study.stage import Stage
from qcompare.words import Message, translate, use_language

UNKNOWN = Message(
    "unknown {kind} '{name}': Known: {known}", {"kind": Message("recipe"), "name": "x {y}", "known": "bf16"}
)


def test_a_message_is_read_as_it_was_stored_with_the_messages_among_its_values() -> None:
    several = Message("{a} {b}", {"a": (Message("recipe"), "plain"), "b": 3, "path": Path("/tmp/x")})
    assert read_message(json.loads(json.dumps(write_message(UNKNOWN)))) == UNKNOWN
    again = read_message(json.loads(json.dumps(write_message(several))))
    assert again.values == {"a": (Message("recipe"), "plain"), "b": 3, "path": "/tmp/x"}


@pytest.mark.parametrize("text", ["Memory ran out.", "KeyError: {not a template", '{"json": 1}', ""])
def test_a_plain_string_of_an_older_version_is_read_as_it_is(text: str) -> None:
    assert str(read_message(text)) == translate(read_message(text)) == text


def test_a_job_keeps_its_error_as_a_message_and_shows_it_in_any_language(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (job,) = store.jobs(store.add_study(Study(), "s", [("bf16", None)]).id)
    store.finish(job.id, Status.FAILED, UNKNOWN, FailureKind.MEMORY)
    stored = store.job(job.id)
    assert stored.error == UNKNOWN
    assert stored.failure is FailureKind.MEMORY
    with use_language("zh"):
        assert "bf16" in translate(UNKNOWN) != str(UNKNOWN)


def test_programs_read_an_error_as_plain_english() -> None:
    row = Row.model_construct(error=UNKNOWN)
    assert json.loads(row.model_dump_json(include={"error"})) == {"error": str(UNKNOWN)}


def test_a_column_holds_nothing_where_there_is_no_message() -> None:
    assert message_column(None) is None
    assert read_message(message_column(UNKNOWN)) == UNKNOWN


def test_events_of_an_older_version_name_a_task_as_their_stage() -> None:
    old = Progress.model_validate_json('{"time": 1, "stage": "hellaswag", "done": 3, "total": 9}')
    assert (old.stage, old.task, old.key) == (Stage.EVALUATING, "hellaswag", "hellaswag")
    new = Progress.model_validate_json(old.model_dump_json())
    assert new == old
    fixed = Progress.model_validate_json('{"time": 1, "stage": "loading the model"}')
    assert (fixed.stage, fixed.task, fixed.key) == (Stage.LOADING, None, "loading the model")
