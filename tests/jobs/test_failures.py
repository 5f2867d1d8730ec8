"""Exceptions as users read them, and what a retry changes."""

import errno

import pytest

from qcompare.errors import InvalidStudy, ModelUnavailable
from qcompare.jobs.failures import ADVICE, KINDS, SIGNS, changed, explain, remedy
from qcompare.settings import Settings
from qcompare.study.records import FailureKind, Job, Progress, Status
from qcompare.study.spec import Study


class OutOfMemoryError(RuntimeError):
    """As torch's."""


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "memory", "smaller model"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            "memory",
            "device",
        ),
        (MemoryError(), "memory", "Memory ran out"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk", "Free some space"),
        (RuntimeError("database or disk is full"), "disk", "gc"),
        (ModelUnavailable("a/b: is gated; accept its terms on the hub"), "access", "accept its terms"),
        (ModelUnavailable("a/b: the hub does not answer (no route); try again"), "network", "try again"),
        (RuntimeError("No finite loss was found in best scales grid search"), "nan", "float32"),
        (RuntimeError("InvalidCxxCompiler: No working C++ compiler found"), "compiler", "g++"),
        (ConnectionResetError("Connection reset by peer"), "network", "Resume"),
        (KeyError("nanny"), None, "KeyError: 'nanny'"),
        (ValueError(""), None, "no message"),
    ],
)
def test_a_failure_is_one_line_that_says_what_to_do(error: Exception, kind: str | None, says: str) -> None:
    found = explain(error)
    assert found.kind == kind
    assert says in str(found.message)
    assert "\n" not in str(found.message)


def test_the_cause_counts_when_a_library_wraps_it() -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as full:
            raise RuntimeError("could not write shard 3") from full
    except RuntimeError as error:
        assert explain(error).kind == "disk"


def test_every_sign_and_advice_is_of_a_known_kind() -> None:
    assert {kind for kind, _ in SIGNS} | set(ADVICE) | {FailureKind.KILLED} == set(KINDS) == set(FailureKind)


def at(stage: str) -> Progress:
    return Progress(time=0, stage=stage)


def failed(kind: str | None) -> Job:
    return Job(id="s.b", study_id="s", position=0, recipe="bf16", avg_bits=None, status=Status.FAILED, created=0,
               failure=kind)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "stage", "device", "changes"),
    [
        ("memory", "choosing layers", "cpu", {"calibration.max_seq_length": 128}),
        ("memory", "comparing predictions", "cpu", {"divergence.max_seq_length": 128}),
        ("killed", "piqa", "cuda:0", {"row_tokens": 512}),
        ("memory", "gsm8k", "cuda:0", {"batch_size": 8}),
        ("memory", "loading the model", "cuda:0", {"device": "cpu"}),
        ("killed", "loading the model", "cpu", {"dtype": "bfloat16"}),
        ("nan", "choosing layers", "cuda:0", {"dtype": "float32"}),
        ("compiler", "quantizing layers", "cpu", {"TORCHDYNAMO_DISABLE": "1"}),
        ("network", "fetching the model", "cpu", {}),
    ],
)
def test_a_retry_changes_the_one_setting_that_helps(kind: str, stage: str, device: str, changes: object) -> None:
    found = remedy(failed(kind), Study(tasks=("piqa", "gsm8k")), at(stage), device, row_tokens=1024)
    assert found and dict(found.changes) == changes
    changed(Study(), Settings(), found.changes)  # can be applied


def test_a_retry_lowers_what_the_scorer_uses() -> None:
    job, study = failed("memory"), Study(tasks=("piqa",))
    assert remedy(job, study, at("piqa"), "cpu", row_tokens=256).changes == {
        "dtype": "bfloat16"
    }  # no row gets smaller
    with_lm_eval = study.model_copy(update={"scorer": "lm_eval"})
    assert remedy(job, with_lm_eval, at("piqa"), "cpu", row_tokens=None).changes == {"batch_size": 8}


def test_what_is_not_understood_has_no_remedy() -> None:
    assert remedy(failed(None), Study(), at("piqa"), "cpu") is None


def test_changes_reach_study_settings_and_environment() -> None:
    changes = {"calibration.num_samples": 4, "batch_size": 2, "dtype": "float32", "OMP_NUM_THREADS": "1"}
    study, settings, environment = changed(Study(), Settings(), changes)
    assert (study.calibration.num_samples, study.batch_size, settings.dtype) == (4, 2, "float32")
    assert environment == {"OMP_NUM_THREADS": "1"}
    assert study.calibration.max_seq_length == Study().calibration.max_seq_length
    with pytest.raises(InvalidStudy):
        changed(Study(), Settings(), {"batch_size": 0})
