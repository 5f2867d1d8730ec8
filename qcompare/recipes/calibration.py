"""The text on which layers are scored (auto-round) or scaled (AWQ)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qcompare.errors import InvalidStudy
from qcompare.study.json_lines import json_lines
from qcompare.study.spec import Calibration

LOCAL_ENDINGS = (".jsonl", ".json")
ULTRACHAT = "HuggingFaceH4/ultrachat_200k"
"""On which the published AWQ checkpoints were calibrated."""


def calibration_text(
    calibration: Calibration, bundled: Path | None, default: str = "auto-round's default text (pile-10k)"
) -> tuple[str | None, str]:
    """What to hand auto-round as `dataset` (None is its own default), and its name in words.

    Args:
        calibration: as the study says; `auto` takes the bundled text where one is given.
        bundled: the demo bundle's text, for models or machines that should use it.

    Raises:
        InvalidStudy: a local file is missing or holds no `text`.
    """
    amount = f"{calibration.num_samples} × {calibration.max_seq_length} tokens"
    if calibration.dataset == "auto":
        if bundled is None:
            return None, f"{default}, {amount}"
        return str(bundled), f"CoQA stories of the demo bundle, {amount}"
    if calibration.dataset.endswith(LOCAL_ENDINGS):
        return str(_checked(Path(calibration.dataset).expanduser())), f"{calibration.dataset}, {amount}"
    return calibration.dataset, f"{calibration.dataset}, {amount}"


def token_rows(dataset: str | None, calibration: Calibration, tokenizer: Any, whole: bool = True) -> Any:
    """Calibration rows: a `datasets.Dataset` of `input_ids` and `attention_mask`.

    Args:
        dataset: as from `calibration_text`; None takes UltraChat from the hub.
        whole: leave out rows shorter than `max_seq_length`, as auto-round does; llm-compressor takes them.

    Raises:
        InvalidStudy: there is no text, or it is too short.
    """
    from datasets import Dataset

    rows = _rows(dataset, calibration, tokenizer, calibration.num_samples)
    if whole:
        rows = _whole(rows, dataset, calibration)
    rows = rows[: calibration.num_samples]
    if len(rows) < calibration.num_samples:
        raise InvalidStudy(
            "calibration text {name} has {n} rows, {wanted} are asked for: lower num_samples, or give more text",
            name=str(dataset or ULTRACHAT),
            n=len(rows),
            wanted=calibration.num_samples,
        )
    return Dataset.from_dict({"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]})


Rows = tuple[tuple[int, ...], ...]


def split_rows(dataset: str | None, calibration: Calibration, tokenizer: Any) -> tuple[Rows, Rows]:
    """Two calibration texts apart, as tokens: the first `num_samples` rows, and half as many that follow them.

    A text with fewer rows is split likewise.

    Raises:
        InvalidStudy: there is no text, or it is too short, or there is a single row.
    """
    wanted = calibration.num_samples + max(1, calibration.num_samples // 2)
    rows = _whole(_rows(dataset, calibration, tokenizer, wanted), dataset, calibration)[:wanted]
    if len(rows) < 2:
        raise InvalidStudy(
            "calibration text {name} has a single row of {tokens} tokens: layers are scored on one part and compared "
            "on another, so give two rows or more, or lower max_seq_length",
            name=str(dataset or ULTRACHAT),
            tokens=calibration.max_seq_length,
        )
    first = len(rows) - max(1, len(rows) // 3)
    return tuple(map(tuple, rows[:first])), tuple(map(tuple, rows[first:]))


def _rows(dataset: str | None, calibration: Calibration, tokenizer: Any, wanted: int) -> list[Sequence[int]]:
    """All rows of a text as tokens, cut to `max_seq_length`; of a data set on the hub what `wanted` ones may need."""
    # what a chat template gives begins with its special tokens
    texts, templated = _texts(dataset, wanted, tokenizer)
    tokens = _cut(tokenizer(list(texts), add_special_tokens=not templated)["input_ids"], calibration)
    return [row for row in tokens if row]


def _whole(rows: Sequence[Sequence[int]], dataset: str | None, calibration: Calibration) -> list[Sequence[int]]:
    """Those that fill `max_seq_length`."""
    whole = [row for row in rows if len(row) >= calibration.max_seq_length]
    check_amount(str(dataset or ULTRACHAT), rows, len(whole), calibration)
    return whole


def _cut(tokens: Sequence[Sequence[int]], calibration: Calibration) -> list[Sequence[int]]:
    """Here, since a tokenizer that is asked to truncate is saved with that setting."""
    return [row[: calibration.max_seq_length] for row in tokens]


def _texts(dataset: str | None, num_samples: int, tokenizer: Any) -> tuple[tuple[str, ...], bool]:
    """The texts, and whether they are chats in the tokenizer's template."""
    if dataset is not None and dataset.endswith(LOCAL_ENDINGS):
        return local_texts(Path(dataset)), False
    return _hub_texts(dataset, num_samples, tokenizer)


def check_amount(name: str, tokens: Sequence[Sequence[int]], long_enough: int, calibration: Calibration) -> None:
    """Refuse text of which too few rows fill `max_seq_length`.

    Raises:
        InvalidStudy: says how many there are and what would fit.
    """
    if long_enough >= calibration.num_samples:
        return
    longest = max((len(row) for row in tokens), default=0)
    raise InvalidStudy(
        "calibration text {name}: {enough} of {total} rows have {tokens} tokens, {wanted} are asked for (the longest "
        "has {longest}): lower num_samples or max_seq_length, or give more text",
        name=name,
        enough=long_enough,
        total=len(tokens),
        tokens=calibration.max_seq_length,
        wanted=calibration.num_samples,
        longest=longest,
    )


def check_local(dataset: str | None, calibration: Calibration, tokenizer: Any) -> None:
    """Check a local file's amount of text before auto-round reads it; others it knows itself.

    Raises:
        InvalidStudy: there is no text, or it is too short.
    """
    if dataset is None or not dataset.endswith(LOCAL_ENDINGS):
        return
    tokens = _cut(tokenizer(list(local_texts(Path(dataset))))["input_ids"], calibration)
    check_amount(dataset, tokens, sum(len(row) == calibration.max_seq_length for row in tokens), calibration)


def local_texts(path: Path) -> tuple[str, ...]:
    """The `text` of every row of a .jsonl or .json file.

    Raises:
        InvalidStudy: the file is no such file.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
        rows = [json.loads(line) for line in json_lines(content)] if path.suffix == ".jsonl" else json.loads(content)
    except OSError as error:
        raise InvalidStudy(
            "calibration text {path} cannot be read ({reason}): give a .jsonl file", path=path, reason=error.strerror
        ) from None
    except ValueError:
        raise InvalidStudy(
            'calibration text {path} is not JSON: give lines such as {{"text": "…"}}', path=path
        ) from None
    if not isinstance(rows, list) or not rows:
        raise InvalidStudy('calibration text {path} is empty: give lines such as {{"text": "…"}}', path=path)
    texts = [row.get("text") if isinstance(row, dict) else None for row in rows]
    if not all(isinstance(text, str) for text in texts):
        line = next(place for place, text in enumerate(texts, start=1) if not isinstance(text, str))
        raise InvalidStudy("calibration text {path} has no field 'text' in row {n}", path=path, n=line)
    return tuple(str(text) for text in texts)


def _hub_texts(dataset: str | None, num_samples: int, tokenizer: Any) -> tuple[tuple[str, ...], bool]:
    from datasets import load_dataset

    name, split = (ULTRACHAT, "train_sft") if dataset is None else (dataset, "train")
    try:
        rows = load_dataset(name, split=f"{split}[:{2 * num_samples}]")
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InvalidStudy(
            "calibration data {name} cannot be had ({reason}): give a .jsonl file", name=name, reason=reason
        ) from None
    if "messages" in rows.column_names:
        return tuple(tokenizer.apply_chat_template(row, tokenize=False) for row in rows["messages"]), True
    if "text" in rows.column_names:
        return tuple(rows["text"]), False
    raise InvalidStudy(
        "calibration data {name} has no column 'text' or 'messages': {columns}",
        name=name,
        columns=", ".join(rows.column_names),
    )


def _checked(path: Path) -> Path:
    local_texts(path)
    return path.resolve()
