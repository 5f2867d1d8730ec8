"""Why a job failed, and which setting a retry should change.

`explain` classifies an exception, `remedy` proposes the retry. Both return messages for the user, not yet translated.
"""

import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qcompare.errors import QCompareError
from qcompare.settings import Settings
from qcompare.study.reading import parse_study
from qcompare.study.records import FailureKind, Job, Progress
from qcompare.study.secrets import redact
from qcompare.study.spec import Study
from qcompare.study.stage import Stage
from qcompare.study.task import TASKS
from qcompare.words import Message, gettext_noop, verbatim

KINDS: dict[FailureKind, str] = {
    FailureKind.MEMORY: gettext_noop("Memory ran out."),
    FailureKind.KILLED: gettext_noop("The system ended the process."),
    FailureKind.ACCESS: gettext_noop("The model is gated or private, or its name is wrong."),
    FailureKind.DISK: gettext_noop("The disk is full."),
    FailureKind.NAN: gettext_noop("The calibration came out as not a number."),
    FailureKind.COMPILER: gettext_noop("A compiler or a compiled kernel is missing."),
    FailureKind.NETWORK: gettext_noop("The network is gone."),
}
"""What happened, by kind."""

SIGNS: tuple[tuple[FailureKind, str], ...] = (
    (FailureKind.DISK, r"no space left|disk is full|disk quota exceeded"),
    (FailureKind.MEMORY, r"out of memory|can't allocate memory|cannot allocate memory|bad_alloc|outofmemory"),
    (FailureKind.NAN, r"no finite loss|\bnan\b|non-finite|not a number"),
    (FailureKind.COMPILER,
     r"invalidcxxcompiler|no working c\+\+|cppcompileerror|inductorerror|g\+\+: not found|ninja"),
    (FailureKind.ACCESS, r"gated|no such model|it is private|401 client error|403 client error"),
    (FailureKind.NETWORK,
     r"hub (does not answer|is not reachable)|connection (refused|reset|aborted)|resolution|timed out"),
)  # fmt: skip
"""Kind and what its messages contain, the first match counts."""

ADVICE: dict[FailureKind, str] = {
    FailureKind.MEMORY: gettext_noop("Choose a smaller model, or a device with more memory."),
    FailureKind.DISK: gettext_noop("Free some space ('gc' removes what nothing needs), then resume."),
    FailureKind.NAN: gettext_noop("Compute in float32, or choose another calibration text."),
    FailureKind.COMPILER: gettext_noop(
        "Install g++ (or triton on a GPU), or go on uncompiled: the same numbers, more slowly."
    ),
    FailureKind.NETWORK: gettext_noop("Resume when it is back; what was fetched is kept."),
}
"""What to do, by kind."""

MIN_TEXT = 32
"""Tokens of a calibration text below which a shorter one helps nobody."""

MIN_ROW = 256
"""Tokens of a forward pass below which a lower budget helps nobody: a row holds at least one question."""


@dataclass(frozen=True)
class Failure:
    """What an exception means to the user."""

    kind: FailureKind | None
    """None where it is of no known kind."""
    message: Message
    """One line: what happened, why, what to do."""


@dataclass(frozen=True)
class Remedy:
    """A retry with one setting changed."""

    label: Message
    """Of a button: "Retry with shorter calibration texts (128 tokens)"."""
    changes: Mapping[str, Any]
    """Setting → value; empty to try the same again."""


def explain(error: BaseException) -> Failure:
    """One line for the user: our own errors as they are, known kinds with advice, others by type and message."""
    kind = _kind(error)
    if isinstance(error, QCompareError):
        return Failure(kind, error.message)
    lines = [line for line in str(error).splitlines() if line.strip()]
    first = redact(f"{type(error).__name__}: {lines[0][:300] if lines else 'no message'}")
    if kind not in ADVICE:
        return Failure(kind, verbatim(first))
    values = {"what": Message(KINDS[kind]), "advice": Message(ADVICE[kind]), "error": first}
    return Failure(kind, Message("{what} {advice} ({error})", values))


def _kind(error: BaseException) -> FailureKind | None:
    if isinstance(error, MemoryError):
        return FailureKind.MEMORY
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in (errno.ENOSPC, errno.EDQUOT):
            return FailureKind.DISK
        text = f"{type(each).__name__}: {each}"
        for kind, sign in SIGNS:
            if re.search(sign, text, re.IGNORECASE):
                return kind
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def remedy(
    job: Job, study: Study, progress: Progress | None, device: str, row_tokens: int | None = None
) -> Remedy | None:
    """What a retry of a failed job should change; None where only a person can help, or nothing is known.

    Args:
        progress: where it failed; None if it never began.
        device: where it ran.
        row_tokens: the study's row budget, where it has one already.
    """
    match job.failure:
        case FailureKind.MEMORY | FailureKind.KILLED:
            found = _less_memory(study, progress, device, row_tokens)
            return None if found.changes.items() <= job.changes.items() else found
        case FailureKind.DISK | FailureKind.NETWORK | FailureKind.ACCESS:
            return Remedy(Message("Retry"), {})
        case FailureKind.NAN:
            return Remedy(Message("Retry in float32"), {"dtype": "float32"})
        case FailureKind.COMPILER:
            return Remedy(Message("Retry uncompiled"), {"TORCHDYNAMO_DISABLE": "1"})
    return None


def _less_memory(study: Study, progress: Progress | None, device: str, row_tokens: int | None) -> Remedy:
    stage, task = (progress.stage, progress.task) if progress else (None, None)
    if stage is Stage.CHOOSING and study.calibration.max_seq_length > MIN_TEXT:
        tokens = study.calibration.max_seq_length // 2
        label = Message("Retry with shorter calibration texts ({n} tokens)", {"n": tokens})
        return Remedy(label, {"calibration.max_seq_length": tokens})
    if stage in (Stage.REFERENCE, Stage.DIVERGENCE) and study.divergence:
        tokens = study.divergence.max_seq_length // 2
        label = Message("Retry with shorter held-out texts ({n} tokens)", {"n": tokens})
        return Remedy(label, {"divergence.max_seq_length": tokens})
    if task in study.tasks:
        known = TASKS.get(task)
        by_rows = study.scorer == "packed" and not (known and known.generates)
        if by_rows and row_tokens and row_tokens > MIN_ROW:
            tokens = row_tokens // 2
            return Remedy(Message("Retry with {n} tokens per forward pass", {"n": tokens}), {"row_tokens": tokens})
        if not by_rows and study.batch_size > 1:
            batch = study.batch_size // 2
            return Remedy(Message("Retry with batches of {n}", {"n": batch}), {"batch_size": batch})
    if device.startswith("cuda"):
        return Remedy(Message("Retry on the CPU"), {"device": "cpu"})
    return Remedy(Message("Retry in bfloat16, half the memory"), {"dtype": "bfloat16"})


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
    return parse_study(values, "changed study", stored=True), settings.model_copy(update=own), environment
