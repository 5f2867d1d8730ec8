"""Calibration text: what cannot be used is refused in one line that says what to do."""

import json
from pathlib import Path

import datasets
import pytest

from qcompare.errors import InvalidStudy
from qcompare.recipes.calibration import calibration_text, check_local, local_texts, token_rows
from qcompare.study.spec import Calibration


class WordTokenizer:
    """One token a word, and one at the beginning."""

    def __call__(self, texts: list[str], add_special_tokens: bool = True) -> dict[str, list[list[int]]]:
        return {"input_ids": [[0] * add_special_tokens + list(range(1, len(text.split()) + 1)) for text in texts]}

    def apply_chat_template(self, messages: list[dict[str, str]], tokenize: bool) -> str:
        return " ".join(["<bos>", *(message["content"] for message in messages)])


def asked(path: Path, num_samples: int = 2, max_seq_length: int = 32) -> Calibration:
    return Calibration(dataset=str(path), num_samples=num_samples, max_seq_length=max_seq_length)


def rows(path: Path, *texts: str) -> Path:
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("{not json", "is not JSON"),
        ('{"text": "good"}\n{"words": "bad"}', "no field 'text' in row 2"),
        ('{"text": 3}', "no field 'text' in row 1"),
        ('["a", "b"]', "no field 'text' in row 1"),
    ],
)
def test_a_file_without_text_is_refused(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "text.jsonl"
    path.write_text(content)
    with pytest.raises(InvalidStudy, match=says):
        calibration_text(asked(path), None)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match=r"cannot be read \(No such file or directory\): give a .jsonl file"):
        calibration_text(asked(tmp_path / "gone.jsonl"), None)


def test_too_little_text_says_how_much_there_is(tmp_path: Path) -> None:
    path = rows(tmp_path / "text.jsonl", "a " * 40, "b " * 30)
    says = r"1 of 2 rows have 32 tokens, 2 are asked for \(the longest has 32\): lower num_samples or max_seq_length"
    for check in (check_local, token_rows):
        with pytest.raises(InvalidStudy, match=says):
            check(str(path), asked(path), WordTokenizer())


def test_rows_that_are_long_enough_are_taken_in_their_order(tmp_path: Path) -> None:
    path = rows(tmp_path / "text.jsonl", "a " * 40, "b " * 3, "c " * 31, "d " * 50)
    found = token_rows(str(path), asked(path), WordTokenizer())
    assert [len(row) for row in found["input_ids"]] == [32, 32]
    assert local_texts(path)[1].split() == ["b"] * 3
    check_local(str(path), asked(path), WordTokenizer())


def test_llm_compressor_gets_short_rows_too_in_their_order(tmp_path: Path) -> None:
    path = rows(tmp_path / "text.jsonl", "a " * 40, "b " * 3, "c " * 50)
    found = token_rows(str(path), asked(path), WordTokenizer(), whole=False)
    assert [len(row) for row in found["input_ids"]] == [len(row) for row in found["attention_mask"]] == [32, 4]
    with pytest.raises(InvalidStudy, match="has 3 rows, 4 are asked for"):
        token_rows(str(path), asked(path, num_samples=4), WordTokenizer(), whole=False)


def test_a_chat_in_its_template_begins_with_one_special_token(monkeypatch: pytest.MonkeyPatch) -> None:
    chats = datasets.Dataset.from_dict({"messages": [[{"role": "user", "content": "a " * 40}]] * 2})
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: chats)
    calibration = Calibration(num_samples=2, max_seq_length=32)
    assert token_rows(None, calibration, WordTokenizer())["input_ids"][0] == list(range(1, 33))


def test_text_the_library_knows_is_left_to_it(tmp_path: Path) -> None:
    named = Calibration(dataset="NeelNanda/pile-10k")
    assert calibration_text(named, None)[0] == "NeelNanda/pile-10k"
    check_local("NeelNanda/pile-10k", named, None)
    assert calibration_text(Calibration(), None)[0] is None
    assert calibration_text(Calibration(), tmp_path)[0] == str(tmp_path)
