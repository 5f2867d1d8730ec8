"""Files with one's own questions: what is read, what the model sees, and one line for everything that is wrong."""

import csv
import io
import json
import sys
import time
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qcompare.errors import InvalidStudy
from qcompare.evaluate.benchmarks import Options, TaskRequest, language_model, run_task
from qcompare.evaluate.tasks.manager import task_manager
from qcompare.evaluate.tasks.questions import exact_match, keep, prepare
from qcompare.models.facts import LocalModel
from qcompare.models.sources import load
from qcompare.settings import Settings
from qcompare.study.spec import Study
from qcompare.study.task import TASKS

CELL = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=30).map(
    lambda text: f"x{text}y"
)


def docs(path: Path, home: Path) -> list[dict[str, Any]]:
    lines = (prepare(path, home).folder / "questions.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(CELL, min_size=3, max_size=5, unique=True), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t"),
    bom=st.booleans(),
)
def test_every_text_comes_back_as_it_was_written(
    rows: list[list[str]], delimiter: str, bom: bool, tmp_path: Path
) -> None:
    options = min(map(len, rows)) - 1
    rows = [row[: options + 1] for row in rows]
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["question", *ascii_uppercase[:options], "answer"])
    writer.writerows([*row, row[1 + n % options]] for n, row in enumerate(rows))
    path = tmp_path / f"q{len(list(tmp_path.iterdir()))}.csv"
    path.write_bytes(out.getvalue().encode("utf-8-sig" if bom else "utf-8"))
    lines = [json.dumps(dict(zip([*"ABCDE"[:options]], row[1:], strict=False)) | {"question": row[0],
             "answer": row[1 + n % options]}) for n, row in enumerate(rows)]  # fmt: skip
    same = path.with_suffix(".jsonl")
    same.write_text("\n".join(lines), encoding="utf-8")
    for each in (path, same):
        found = docs(each, tmp_path / "home")
        assert [doc["question"] for doc in found] == [row[0] for row in rows]
        assert [doc["options"] for doc in found] == [row[1:] for row in rows]
        assert [doc["answer"] for doc in found] == [n % options for n in range(len(rows))]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
    suffix=st.sampled_from([".csv", ".jsonl"]),
)
def test_junk_is_refused_in_one_line(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"junk{suffix}"
    path.write_bytes(content)
    try:
        assert prepare(path, tmp_path / "home").count > 0
    except InvalidStudy as error:
        assert str(path.name) in str(error)


GOOD = "question,A,B,C,answer\nWhat is it?,a cat,a dog,a cow,B\n"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("q.csv", "question,A,B\nx,1,2\n", "header: there is no column 'answer'; the columns are question, A, B"),
        ("q.csv", "prompt\nx\n", "there is no column 'answer'"),
        ("q.csv", "frage,antwort\nx,1\n", "the columns are frage, antwort; expected 'question, A"),
        ("q.csv", GOOD + "x,1,2,2,2\n", r"line 3: the answer '2' stands for more than one option"),
        ("q.csv", GOOD + "x,1,2,3,A and B\n", "line 3: the answer 'A and B' is neither one of A, B, C"),
        ("q.csv", GOOD + 'x,1,2,3,"A, C"\n', "line 3: the answer 'A, C' stands for more than one option"),
        ("q.csv", GOOD + "x,1,,3,A\n", "line 3: 'B' is empty"),
        ("q.csv", GOOD + "x,1,2,3,E\n", "line 3: the answer 'E' is neither one of A, B, C nor the text"),
        ("q.csv", GOOD + "x,1,2,3\n", "line 3: 'answer' is empty"),
        ("q.csv", GOOD + "x, really,1,2,3,A\n", "line 3: has 6 cells and the header 5: put a text that holds ','"),
        ("q.csv", GOOD + '\n"two\nlines",1,2,3,A\ny,1,2,3,Z\n', "line 6: the answer 'Z'"),
        ("q.csv", "question,A,A,answer\nx,1,2,A\n", "line 1: the column 'A' is there twice"),
        ("q.csv", "question,A,C,answer\nx,1,2,A\n", "the options' columns are A, C: name them A, B, C"),
        ("q.csv", GOOD.encode() + b"caf\xe9,1,2,3,A\n", "line 3: is not UTF-8: save the file as UTF-8"),
        ("q.csv", GOOD.encode("utf-16"), "is not UTF-8"),
        ("q.csv", "text\n", "holds no questions"),
        ("q.csv", 'text\n"open', "is not CSV"),
        ("q.jsonl", '{"text": "x"}\n[1]\n', "line 2: is not a JSON object"),
        ("q.jsonl", '{"text": "x", "text": "y"}\n', "line 1: the column 'text' is there twice"),
        ("q.jsonl", '{"text": {"a": 1}}\n', "line 1: 'text' must be a text"),
        ("q.jsonl", '{"prompt": "x", "answer": "y", "pattern": "("}\n', r"line 1: the pattern '\(' is not a regular"),
        ("q.xlsx", "no zip", "is not an Excel file"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(name: str, content: str | bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InvalidStudy, match=says) as error:
        prepare(path, tmp_path / "home")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "home").rglob("*.draft"))


def test_the_model_sees_options_as_letters(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text(GOOD)
    (shown,) = prepare(tmp_path / "q.csv", tmp_path).first
    assert shown.prompt == "What is it?\nA. a cat\nB. a dog\nC. a cow\nAnswer:"
    assert (shown.options, shown.answer) == ((" A", " B", " C"), " B")


def test_excel_is_read_as_csv_is(tmp_path: Path) -> None:
    import pandas as pd

    columns = {"question": ["2 + 2?", "A day has … hours"], "A": [4, 23], "B": [5, 24.0], "answer": [4, "B"]}
    pd.DataFrame(columns).to_excel(tmp_path / "q.xlsx", index=False)
    found = docs(tmp_path / "q.xlsx", tmp_path)
    assert [doc["options"] for doc in found] == [["4", "5"], ["23", "24"]]
    assert [doc["answer"] for doc in found] == [0, 1]


def test_without_openpyxl_excel_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "q.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(InvalidStudy, match="pip install openpyxl"):
        prepare(tmp_path / "q.xlsx", tmp_path)


@pytest.mark.parametrize(
    ("written", "pattern", "right"),
    [
        (" Paris\n", "", True),
        ("It is 42.", r"(\d+)", True),
        ("First 41, then 42.", r"\d+", True),
        ("none", r"(\d+)", False),
        ("Paris.", "", False),
    ],
)
def test_written_answers_must_match_exactly(written: str, pattern: str, right: bool) -> None:
    answer = "42" if pattern else "Paris"
    assert exact_match({"answer": answer, "pattern": pattern}, [written]) == {"exact_match": float(right)}


def test_all_three_kinds_are_asked_of_a_model(tmp_path: Path, tiny_llama: Path, settings: Settings) -> None:
    (tmp_path / "choice.csv").write_text(GOOD + "Why?,1,2,3,A\n")
    (tmp_path / "written.jsonl").write_text('{"prompt": "1+1=", "answer": "2", "pattern": "[0-9]"}\n')
    (tmp_path / "texts.csv").write_text('text\n"A text, as it is."\nAnother\n')
    study = Study(tasks=tuple(str(tmp_path / name) for name in ("choice.csv", "written.jsonl", "texts.csv")), limit=2)
    model, tokenizer = load(LocalModel(tiny_llama, "tiny", "folder", "r"), "cpu", "float32", settings, False)
    options = Options(limit=study.limit, batch_size=2, add_bos_token=None, seed=0)
    lm = language_model("packed", model, tokenizer, options)
    found = task_manager(study.tasks, settings)
    scores = []
    for name in study.tasks:
        task = TASKS[name]
        score, asked = run_task(
            lm, TaskRequest(name, found.data[name], None, task.lm_eval_name), found.manager, options
        )
        scores.append((score.metric, score.n, score.averaged))
        assert {one.study_task for one in asked} == {name}
    assert scores == [("acc", 2, True), ("exact_match", 1, True), ("word_perplexity", 2, False)]


def test_a_hundred_thousand_lines_take_seconds(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    with path.open("w") as file:
        file.write("question,A,B,C,D,answer\n")
        file.writelines(f"How much is {n} and {n}?,{n},{2 * n},none,all,B\n" for n in range(1, 100_001))
    start = time.process_time()
    found = prepare(path, tmp_path / "home")
    assert time.process_time() - start < 20
    assert found.count == TASKS[str(path)].questions == 100_000
    start = time.process_time()
    assert prepare(path, tmp_path / "home") is found
    assert time.process_time() - start < 0.1


def test_an_upload_is_kept_in_the_home(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text(GOOD)
    kept = keep(tmp_path / "q.csv", tmp_path / "home")
    assert kept.is_relative_to(tmp_path / "home" / "questions")
    assert kept.read_text() == GOOD
    assert keep(tmp_path / "q.csv", tmp_path / "home") == kept
