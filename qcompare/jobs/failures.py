"""Why a job failed, in plain words, and the one setting that may let it succeed.

`explain` reads an exception; `remedy` says what a retry would change. A kind is a line in `SIGNS` and one in `KINDS`.
"""

import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qcompare.errors import QCompareError
from qcompare.settings import Settings
from qcompare.study.reading import parse_study
from qcompare.study.records import Job
from qcompare.study.spec import Study
from qcompare.study.task import TASKS
from qcompare.words import gettext, gettext_noop

KINDS: dict[str, str] = {
    "memory": gettext_noop("Memory ran out."),
    "killed": gettext_noop("The system ended the process."),
    "access": gettext_noop("The model is gated or private, or its name is wrong."),
    "disk": gettext_noop("The disk is full."),
    "nan": gettext_noop("The calibration came out as not a number."),
    "compiler": gettext_noop("A compiler or a compiled kernel is missing."),
    "network": gettext_noop("The network is gone."),
}
"""What happened, by kind."""

SIGNS: tuple[tuple[str, str], ...] = (
    ("disk", r"no space left|disk is full|disk quota exceeded"),
    ("memory", r"out of memory|can't allocate memory|cannot allocate memory|bad_alloc|outofmemory"),
    ("nan", r"no finite loss|\bnan\b|non-finite|not a number"),
    ("compiler", r"invalidcxxcompiler|no working c\+\+|cppcompileerror|inductorerror|g\+\+: not found|ninja"),
    ("access", r"gated|no such model|it is private|401 client error|403 client error"),
    ("network", r"hub (does not answer|is not reachable)|connection (refused|reset|aborted)|resolution|timed out"),
)  # fmt: skip
"""Kind and what its messages contain, the first match counts."""

ADVICE: dict[str, str] = {
    "memory": gettext_noop("Choose a smaller model, or a device with more memory."),
    "disk": gettext_noop("Free some space ('gc' removes what nothing needs), then resume."),
    "nan": gettext_noop("Compute in float32, or choose another calibration text."),
    "compiler": gettext_noop("Install g++ (or triton on a GPU), or go on uncompiled: the same numbers, more slowly."),
    "network": gettext_noop("Resume when it is back; what was fetched is kept."),
}
"""What to do, by kind."""

MIN_TEXT = 32
"""Tokens of a calibration text below which a shorter one helps nobody."""

MIN_ROW = 256
"""Tokens of a forward pass below which a lower budget helps nobody: a row holds at least one question."""


@dataclass(frozen=True)
class Failure:
    """An exception, translated."""

    kind: str | None
    """A key of `KINDS`; None for everything else."""
    text: str
    """One line: what happened, why, what to do."""


@dataclass(frozen=True)
class Remedy:
    """A retry with one setting changed."""

    words: str
    """For a button: "Retry with shorter calibration texts (128 tokens)"."""
    changes: Mapping[str, Any]
    """Setting → value; empty to try the same again."""


def explain(error: BaseException) -> Failure:
    """One line for the user: our own errors as they are, known kinds in plain words, others by type and message."""
    kind = _kind(error)
    if isinstance(error, QCompareError):
        return Failure(kind, str(error))
    lines = [line for line in str(error).splitlines() if line.strip()]
    first = f"{type(error).__name__}: {lines[0][:300] if lines else 'no message'}"
    if kind is None:
        return Failure(None, first)
    return Failure(kind, f"{gettext(KINDS[kind])} {gettext(ADVICE[kind])} ({first})" if kind in ADVICE else first)


def _kind(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return "memory"
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in (errno.ENOSPC, errno.EDQUOT):
            return "disk"
        text = f"{type(each).__name__}: {each}"
        for kind, sign in SIGNS:
            if re.search(sign, text, re.IGNORECASE):
                return kind
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def remedy(job: Job, study: Study, stage: str, device: str, row_tokens: int | None = None) -> Remedy | None:
    """What a retry of a failed job should change; None where only a person can help, or nothing is known.

    Args:
        stage: where it failed, a stage of `jobs.stages`.
        device: where it ran.
        row_tokens: the study's row budget, where it has one already.
    """
    match job.failure:
        case "memory" | "killed":
            found = _less_memory(study, stage, device, row_tokens)
            return None if found.changes.items() <= job.changes.items() else found
        case "disk" | "network" | "access":
            return Remedy(gettext("Retry"), {})
        case "nan":
            return Remedy(gettext("Retry in float32"), {"dtype": "float32"})
        case "compiler":
            return Remedy(gettext("Retry uncompiled"), {"TORCHDYNAMO_DISABLE": "1"})
    return None


def _less_memory(study: Study, stage: str, device: str, row_tokens: int | None) -> Remedy:
    if stage == "choosing layers" and study.calibration.max_seq_length > MIN_TEXT:
        tokens = study.calibration.max_seq_length // 2
        return Remedy(
            gettext("Retry with shorter calibration texts ({n} tokens)", n=tokens),
            {"calibration.max_seq_length": tokens},
        )
    if stage in ("reading held-out text", "comparing predictions") and study.divergence:
        tokens = study.divergence.max_seq_length // 2
        return Remedy(
            gettext("Retry with shorter held-out texts ({n} tokens)", n=tokens), {"divergence.max_seq_length": tokens}
        )
    by_rows = stage in study.tasks and study.scorer == "packed" and not TASKS[stage].generates
    if by_rows and row_tokens and row_tokens > MIN_ROW:
        tokens = row_tokens // 2
        return Remedy(gettext("Retry with {n} tokens per forward pass", n=tokens), {"row_tokens": tokens})
    if stage in study.tasks and not by_rows and study.batch_size > 1:
        batch = study.batch_size // 2
        return Remedy(gettext("Retry with batches of {n}", n=batch), {"batch_size": batch})
    if device.startswith("cuda"):
        return Remedy(gettext("Retry on the CPU"), {"device": "cpu"})
    return Remedy(gettext("Retry in bfloat16, half the memory"), {"dtype": "bfloat16"})


def changed(study: Study, settings: Settings, changes: Mapping[str, Any]) -> tuple[Study, Settings, dict[str, str]]:
    """Apply a job's changes: (study, settings, environment variables).

    Raises:
        InvalidStudy: a change asks for what cannot be.
    """
    values = study.model_dump(mode="json")
    own: dict[str, Any] = {}
    environment: dict[str, str] = {}
    for key, value in changes.items():
        first, _, field = key.partition(".")
        if key.isupper():
            environment[key] = str(value)
        elif first in Settings.model_fields:
            own[key] = value
        elif field:
            values[first] = {**values[first], field: value}
        else:
            values[key] = value
    return parse_study(values, "changed study"), settings.model_copy(update=own), environment
