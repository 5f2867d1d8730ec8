"""A user's own questions: a CSV, JSON lines or Excel file, checked and turned into a task of lm-eval.

Three kinds, told by the columns: `question, A, B, …, answer` (options are put below the question as letters, as mmlu
does, and the likelihood of each letter is compared) · `prompt, answer` and perhaps `pattern` (the model writes; exact
match) · `text` (perplexity). Other columns are ignored.
"""

import csv
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal

from qcompare.errors import InvalidStudy
from qcompare.store.moving import replace, replace_folder
from qcompare.words import Message

SUFFIXES = (".csv", ".jsonl", ".xlsx")
LONGEST_FIELD = 10_000_000
"""Characters of one cell."""
PREVIEW = 3
PERPLEXITIES = {
    "word_perplexity": "weighted_perplexity",
    "byte_perplexity": "weighted_perplexity",
    "bits_per_byte": "bits_per_byte",
}
"""Metrics of texts, with lm-eval's way to add them up."""
COPIES: dict[Path, Path] = {}
"""On a node of a cluster: question files of the machine that asked → their copies here."""
SHAPE = 1
"""Of the generated task; part of the folder's name."""

Line = tuple[Message, dict[str, str]]
"""Where a row stands ("line 7"), and its cells by column."""


@dataclass(frozen=True)
class Shown:
    """A question as the model will see it."""

    prompt: str
    options: tuple[str, ...]
    """What may follow, of questions with options."""
    answer: str


@dataclass(frozen=True)
class Questions:
    """A checked file."""

    path: Path
    kind: Literal["choice", "written", "text"]
    count: int
    characters: int
    """Of a prompt, on average."""
    digest: str
    """Of the file's content."""
    first: tuple[Shown, ...]
    folder: Path
    """Holds `task.yaml` and `questions.jsonl`, as lm-eval reads them."""

    @property
    def yaml(self) -> Path:
        """lm-eval's definition."""
        return self.folder / "task.yaml"

    @property
    def texts(self) -> Path:
        """The questions, as JSON lines."""
        return self.folder / "questions.jsonl"


def prepare(path: Path, home: Path) -> Questions:
    """Check a file and make a task of it, below `home`'s cache; what is known by its content is not checked again.

    Raises:
        InvalidStudy: one line, naming the line of the file: what is wrong and what is allowed.
    """
    path = COPIES.get(path, path)
    try:
        stat = path.stat()
    except OSError as error:
        raise InvalidStudy(
            "{path}: cannot be read ({reason}); give a CSV, JSONL or XLSX file with questions",
            path=path,
            reason=error.strerror,
        ) from None
    return _prepared(path, home, stat.st_mtime_ns, stat.st_size)


def keep(path: Path, home: Path) -> Path:
    """Copy a checked file into the home, where jobs find it after the upload is gone.

    Raises:
        InvalidStudy: as for `prepare`.
    """
    found = prepare(path, home)
    kept = home / "questions" / found.digest[:16] / path.name
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft = kept.with_name(f"{os.getpid()}.draft")
        shutil.copyfile(path, draft)
        replace(draft, kept)
    return kept


@lru_cache(32)
def _prepared(path: Path, home: Path, changed: int, size: int) -> Questions:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # The name is part of the task: the same content under two names is two tasks.
    key = hashlib.sha256(json.dumps([SHAPE, path.name, digest]).encode()).hexdigest()[:16]
    folder = home / "cache" / "questions" / key
    about = folder / "about.json"
    try:
        stored = json.loads(about.read_text(encoding="utf-8"))
        first = tuple(Shown(**{**each, "options": tuple(each["options"])}) for each in stored.pop("first"))
        return Questions(path=path, folder=folder, digest=digest, first=first, **stored)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    draft = folder.with_name(f"{key}.{os.getpid()}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        found = _write(path, draft, folder, digest)
        replace_folder(draft, folder)
        return found
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(path: Path, draft: Path, folder: Path, digest: str) -> Questions:
    rows = read_rows(path)
    first = next(rows, None)
    if first is None:
        raise InvalidStudy("{path}: holds no questions: there is nothing below the header", path=path)
    kind, letters = _kind(path, list(first[1]))
    count = characters = patterns = 0
    shown: list[Shown] = []
    with (draft / "questions.jsonl").open("w", encoding="utf-8", newline="\n") as out:
        for where, cells in _chain(first, rows):
            doc, one = _question(path, kind, letters, where, cells)
            out.write(json.dumps(doc) + "\n")
            count += 1
            characters += len(one.prompt)
            patterns += bool(doc.get("pattern"))
            if len(shown) < PREVIEW:
                shown.append(one)
    found = Questions(path, kind, count, max(1, characters // count), digest, tuple(shown), folder)
    (draft / "task.yaml").write_text(_yaml(found, patterns > 0), encoding="utf-8")
    kept = {name: value for name, value in asdict(found).items() if name not in ("path", "folder", "digest")}
    (draft / "about.json").write_text(json.dumps(kept), encoding="utf-8")
    return found


def _chain(first: Line, rest: Iterable[Line]) -> Iterator[Line]:
    yield first
    yield from rest


def read_rows(path: Path) -> Iterator[Line]:
    """The rows of a file, one at a time.

    Raises:
        InvalidStudy: it is none of the formats, not UTF-8, or a line is not what its format asks for.
    """
    readers = {".csv": _csv, ".jsonl": _jsonl, ".xlsx": _xlsx}
    if path.suffix.lower() not in readers:
        raise InvalidStudy("{path}: is none of {known}", path=path, known=", ".join(readers))
    try:
        yield from readers[path.suffix.lower()](path)
    except UnicodeDecodeError:
        raise _wrong(path, _undecodable(path), "is not UTF-8: save the file as UTF-8") from None


def _wrong(path: Path, where: Message | str, problem: str, **values: object) -> InvalidStudy:
    return InvalidStudy("{path}, {where}: {problem}", path=path.name, where=where, problem=Message(problem, values))


def _line(n: int) -> Message:
    return Message("line {n}", {"n": n})


def _undecodable(path: Path) -> Message:
    with path.open("rb") as file:
        for n, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return _line(n)
    return _line(1)


def _csv(path: Path) -> Iterator[Line]:
    csv.field_size_limit(LONGEST_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        start = file.readline()
        file.seek(0)
        # Excel writes semicolons where a comma is the decimal sign.
        delimiter = max(",;\t", key=start.count)
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        header: list[str] | None = None
        before = 0
        try:
            for cells in reader:
                where, before = _line(before + 1), reader.line_num
                if not any(cell.strip() for cell in cells):
                    continue
                if header is None:
                    header = _header(path, where, cells)
                    continue
                if len(cells) > len(header):
                    raise _wrong(
                        path, where, "has {n} cells and the header {m}: put a text that holds '{sign}' in quotes",
                        n=len(cells), m=len(header), sign=delimiter,
                    )  # fmt: skip
                yield where, dict(zip(header, [*cells, *[""] * (len(header) - len(cells))], strict=True))
        except csv.Error as error:
            raise _wrong(path, _line(before + 1), "is not CSV ({reason})", reason=error) from None


def _header(path: Path, where: Message | str, cells: Sequence[object]) -> list[str]:
    """Names of columns: words in lower case, letters of options in upper case."""
    names = [str(cell).strip() for cell in cells]
    names = [name.upper() if len(name) == 1 else name.lower() for name in names]
    for name in names:
        if name and names.count(name) > 1:
            raise _wrong(path, where, "the column '{name}' is there twice: name each once", name=name)
    return names


def _jsonl(path: Path) -> Iterator[Line]:
    with path.open(encoding="utf-8-sig") as file:
        for n, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                pairs = json.loads(line, object_pairs_hook=list)
            except (ValueError, RecursionError):
                pairs = None
            if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
                raise _wrong(path, _line(n), "is not a JSON object such as {example}", example='{"text": "…"}')
            names = _header(path, _line(n), [name for name, _ in pairs])
            for name, value in zip(names, pairs, strict=True):
                if not isinstance(value[1], str | int | float | None):
                    raise _wrong(path, _line(n), "'{name}' must be a text", name=name)
            yield _line(n), {name: _text(value) for name, (_, value) in zip(names, pairs, strict=True)}


def _xlsx(path: Path) -> Iterator[Line]:
    import pandas as pd

    try:
        frame = pd.read_excel(path, header=None, dtype=object, keep_default_na=False, engine="openpyxl")
    except ImportError:
        raise InvalidStudy(
            "{path}: Excel files need the package openpyxl: 'pip install openpyxl', or save it as CSV", path=path.name
        ) from None
    except Exception as error:  # openpyxl and zipfile raise many kinds
        raise InvalidStudy(
            "{path}: is not an Excel file ({reason}): save it as .xlsx or CSV", path=path.name, reason=error
        ) from None
    header: list[str] | None = None
    for n, cells in enumerate(frame.itertuples(index=False, name=None), start=1):
        texts = [_text(cell) for cell in cells]
        if not any(text.strip() for text in texts):
            continue
        if header is None:
            header = _header(path, _line(n), texts)
        else:
            yield _line(n), dict(zip(header, texts, strict=True))


def _text(value: object) -> str:
    """A cell as text: Excel's whole numbers are floats."""
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _kind(path: Path, names: list[str]) -> tuple[Literal["choice", "written", "text"], str]:
    """Kind of questions by the columns, and the letters of its options."""
    letters = "".join(letter for letter in ascii_uppercase if letter in names)
    if "question" in names and letters:
        if "answer" not in names:
            raise _no_column(path, names, "answer")
        if len(letters) < 2 or not ascii_uppercase.startswith(letters):
            raise _wrong(
                path, Message("header"), "the options' columns are {given}: name them A, B, C, … without a gap",
                given=", ".join(letters),
            )  # fmt: skip
        return "choice", letters
    if "prompt" in names:
        if "answer" not in names:
            raise _no_column(path, names, "answer")
        return "written", ""
    if "text" in names:
        return "text", ""
    raise _wrong(
        path, Message("header"),
        "the columns are {names}; expected 'question, A, B, C, D, answer', 'prompt, answer' or 'text'",
        names=", ".join(names)[:200],
    )  # fmt: skip


def _no_column(path: Path, names: list[str], missing: str) -> InvalidStudy:
    return _wrong(
        path, Message("header"), "there is no column '{missing}'; the columns are {names}",
        missing=missing, names=", ".join(names)[:200],
    )  # fmt: skip


def _question(
    path: Path, kind: str, letters: str, where: Message, cells: Mapping[str, str]
) -> tuple[dict[str, Any], Shown]:
    """A row as lm-eval's document, and as the model sees it."""

    def cell(name: str) -> str:
        text = cells.get(name, "").strip()
        if not text:
            raise _wrong(path, where, "'{name}' is empty", name=name)
        return text

    if kind == "text":
        cell("text")
        return {"text": cells["text"]}, Shown(cells["text"], (), "")
    if kind == "written":
        pattern = cells.get("pattern", "").strip()
        try:
            re.compile(pattern)
        except re.error as error:
            raise _wrong(
                path, where, "the pattern '{pattern}' is not a regular expression ({reason})",
                pattern=pattern[:60], reason=error,
            ) from None  # fmt: skip
        prompt, answer = cell("prompt"), cell("answer")
        return {"prompt": prompt, "answer": answer, "pattern": pattern}, Shown(prompt, (), answer)
    options = [cell(letter) for letter in letters]
    right = _right(path, where, letters, options, cell("answer"))
    lines = [
        cell("question"),
        *(f"{letter}. {text}" for letter, text in zip(letters, options, strict=True)),
        "Answer:",
    ]
    prompt = "\n".join(lines)
    doc = {"question": cells["question"].strip(), "options": options, "prompt": prompt, "letters": list(letters)}
    return doc | {"answer": right}, Shown(prompt, tuple(f" {letter}" for letter in letters), f" {letters[right]}")


def _right(path: Path, where: Message, letters: str, options: list[str], answer: str) -> int:
    """Which option the answer names: by its letter or its text."""
    named = answer.rstrip(".)").upper()
    found = {letters.index(named)} if len(named) == 1 and named in letters else set()
    found |= {n for n, text in enumerate(options) if text == answer}
    several = not found and set(re.split(r"[,;/&+ ]+", answer.upper())) <= {*letters}
    if len(found) > 1 or several:
        raise _wrong(
            path,
            where,
            "the answer '{answer}' stands for more than one option: one must be right",
            answer=answer[:60],
        )
    if not found:
        raise _wrong(
            path, where, "the answer '{answer}' is neither one of {letters} nor the text of an option",
            answer=answer[:60], letters=", ".join(letters),
        )  # fmt: skip
    return found.pop()


def _yaml(found: Questions, patterns: bool) -> str:
    """The task. JSON is valid YAML."""
    values: dict[str, Any] = {
        "task": found.path.name,
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {"test": str(found.texts)},
            "cache_dir": str(found.folder.parent.parent / "datasets"),
        },
        "test_split": "test",
        "metadata": {"version": found.digest[:12]},
    }
    match found.kind:
        case "choice":
            values |= {
                "output_type": "multiple_choice", "doc_to_text": "prompt", "doc_to_choice": "letters",
                "doc_to_target": "answer", "fewshot_split": "test",
                "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
            }  # fmt: skip
        case "written":
            until = {"until": [], "max_gen_toks": 256} if patterns else {"until": ["\n"], "max_gen_toks": 64}
            values |= {
                "output_type": "generate_until", "doc_to_text": "prompt", "doc_to_target": "answer",
                "fewshot_split": "test", "generation_kwargs": {**until, "do_sample": False},
                "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
            }  # fmt: skip
        case "text":
            values |= {
                "output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "text", "num_fewshot": 0,
                "metric_list": [
                    {"metric": metric, "aggregation": aggregation, "higher_is_better": False}
                    for metric, aggregation in PERPLEXITIES.items()
                ],
            }  # fmt: skip
    text = json.dumps(values, indent=1)
    if found.kind != "written":
        return text
    # Its own YAML tag: what lm-eval takes for a Python function.
    return text[:-2] + f',\n "process_results": !function {__name__}.exact_match\n}}'


def exact_match(doc: Mapping[str, str], results: Sequence[str]) -> dict[str, float]:
    """lm-eval's `process_results` of written answers: the text itself, or what the pattern finds in it (its first
    group, where it has one; the last place counts)."""
    answer = results[0].strip()
    if doc.get("pattern"):
        found = list(re.finditer(doc["pattern"], results[0]))
        last = found[-1] if found else None
        answer = "" if last is None else (last.group(1) if last.re.groups else last.group()) or ""
    return {"exact_match": float(answer.strip() == doc["answer"])}
