"""The per-question table of a job, `samples.parquet`: what was asked, how it was answered, whether that was right.

Columns are the fields of `Sample`. Only this module names them: it writes the table and reads it, also the tables of
version 0.1, which lack some columns.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcompare.errors import QCompareError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True)
class Sample:
    """One question and a model's answer to it, in lm-eval's terms."""

    study_task: str
    """The study's task: `mmlu`."""
    task: str
    """The task or subject that it belongs to: `mmlu_anatomy`."""
    doc_id: int
    doc_hash: str
    """Of the question in its data set."""
    prompt_hash: str
    """Of the prompt as it was put: few-shot examples and template included."""
    question: str
    """The prompt; where the options differ in it (winogrande), what they share."""
    options: tuple[str, ...]
    """Empty for questions answered in writing."""
    target: str
    """The right option's number or text, or the right answer."""
    answer: str | None
    """What the model wrote; None for questions with options."""
    loglikelihoods: tuple[float, ...]
    """Of each option, in nats."""
    is_greedy: tuple[bool, ...]
    """For each option, whether greedy decoding would write it."""
    acc: float
    """1 for right, 0 for wrong; of a written answer, lm-eval's `strict-match`. Of tasks without right and wrong the
    question's score, higher is better: log-likelihood per word or byte, F1; NaN where the metric has none."""
    acc_norm: float | None = None
    flexible: float | None = None
    """Of a written answer, lm-eval's `flexible-extract`."""

    @property
    def choice(self) -> int | None:
        """The option that the model found likeliest, as `acc` counts it; None where there are not several."""
        values = self.loglikelihoods
        return values.index(max(values)) if len(values) > 1 else None

    @property
    def key(self) -> tuple[str, int]:
        """Tells it from all other questions of a study."""
        return self.task, self.doc_id


KEY = ["task", "doc_id"]
SCORES = [*KEY, "prompt_hash", "acc"]


class Samples:
    """A table as read from a file, sorted by (task, doc_id)."""

    def __init__(self, frame: "pd.DataFrame") -> None:
        self._frame = frame.set_index(KEY).sort_index()

    @property
    def index(self) -> "pd.MultiIndex":
        """(task, doc_id) of all questions."""
        index: pd.MultiIndex = self._frame.index  # type: ignore[assignment]
        return index

    @property
    def acc(self) -> "pd.Series[float]":
        """1 or 0 by (task, doc_id)."""
        return self._frame["acc"].astype(float)

    @property
    def study_task(self) -> "pd.Series[str]":
        """The study's task by (task, doc_id); empty texts in tables of version 0.1."""
        return self._frame["study_task"] if "study_task" in self._frame else self._frame["prompt_hash"].str[:0]

    @property
    def prompt_hash(self) -> "pd.Series[str]":
        """Digest of the prompt by (task, doc_id)."""
        return self._frame["prompt_hash"]

    @cached_property
    def choice(self) -> "pd.Series[float]":
        """The option chosen by (task, doc_id), by its number; of questions without several options, `acc`."""
        import numpy as np
        import pandas as pd

        pairs = zip(self._frame["loglikelihoods"], self.acc, strict=True)
        answers = [float(np.argmax(values)) if len(values) > 1 else acc for values, acc in pairs]
        return pd.Series(answers, self.index)

    @cached_property
    def text(self) -> "pd.Series[str]":
        """Question, options and subject by (task, doc_id), in lower case, to be searched."""
        frame = self._frame
        leaf = frame.index.get_level_values(0).to_series(index=frame.index)
        return (frame["question"] + "\n" + frame["options"].str.join("\n") + "\n" + leaf).str.lower()

    def get(self, key: tuple[str, int]) -> Sample | None:
        """One question; None where the table lacks it."""
        place = self._places.get(key)
        if place is None:
            return None
        row = dict(zip(KEY, key, strict=True)) | {name: values[place] for name, values in self._columns.items()}
        return _sample(row)

    @cached_property
    def _places(self) -> dict[tuple[str, int], int]:
        return {key: place for place, key in enumerate(self._frame.index)}

    @cached_property
    def _columns(self) -> dict[str, Any]:
        return {str(name): self._frame[name].to_numpy() for name in self._frame}


def write_samples(file: Path, samples: Iterable[Sample]) -> None:
    """Write a table, in the order of the samples."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([asdict(sample) for sample in samples], schema=_schema()), file)


def read_samples(file: Path, study_task: str | None = None) -> Samples:
    """Read the questions of one task of the study, or of all.

    Raises:
        QCompareError: the file is missing or cannot be read.
    """
    filters = [("study_task", "==", study_task)] if study_task else None
    return Samples(_read(file, filters=filters))


def read_scores(file: Path) -> Samples:
    """Read only `acc`, `prompt_hash` and `study_task`, of all questions. Raises as `read_samples`."""
    return Samples(_read(file, columns=[*SCORES, "study_task"], missing=("study_task",)))


def _read(file: Path, missing: tuple[str, ...] = (), **options: Any) -> "pd.DataFrame":
    """`missing`: columns that an old table may lack."""
    import pandas as pd
    import pyarrow.parquet as pq

    try:
        if missing:
            lacking = {*missing} - {*pq.read_schema(file).names}
            options["columns"] = [name for name in options["columns"] if name not in lacking]
        return pd.read_parquet(file, **options)
    except (OSError, ValueError, KeyError):
        job = file.parent.parent.name
        raise QCompareError("the answers of {job} cannot be read", job=job) from None


def _sample(values: Mapping[str, Any]) -> Sample:
    def text(name: str) -> str:
        return str(values.get(name) or "")

    def number(name: str) -> float | None:
        value = values.get(name)
        return None if value is None or isnan(value) else float(value)

    answer = values.get("answer")
    return Sample(
        study_task=text("study_task"),
        task=text("task"),
        doc_id=int(values["doc_id"]),
        doc_hash=text("doc_hash"),
        prompt_hash=text("prompt_hash"),
        question=text("question"),
        options=tuple(values["options"]),
        target=text("target"),
        answer=answer if isinstance(answer, str) else None,
        loglikelihoods=tuple(float(value) for value in values["loglikelihoods"]),
        is_greedy=tuple(bool(value) for value in values.get("is_greedy", ())),
        acc=float(values["acc"]),
        acc_norm=number("acc_norm"),
        flexible=number("flexible"),
    )


def _schema() -> "pa.Schema":
    import pyarrow as pa

    text, number = pa.large_string(), pa.float64()
    return pa.schema(
        {
            "task": text, "doc_id": pa.int64(), "doc_hash": text, "prompt_hash": text, "question": text,
            "options": pa.list_(pa.string()), "target": text, "answer": text,
            "loglikelihoods": pa.list_(number), "is_greedy": pa.list_(pa.bool_()),
            "acc": number, "acc_norm": number, "flexible": number, "study_task": text,
        }
    )  # fmt: skip
