"""Benchmarks: our BF16 row is what lm-eval's own command would print for the same questions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompare.evaluate.answers import question_and_options, samples_of
from qcompare.evaluate.benchmarks import (
    Options,
    TaskRequest,
    average,
    default_add_bos_token,
    language_model,
    run_task,
)
from qcompare.evaluate.tasks.manager import task_manager
from qcompare.models.facts import LocalModel
from qcompare.models.sources import fetch, load
from qcompare.settings import Settings
from qcompare.study.result import TaskScore

TASKS = ("lambada_openai", "hellaswag", "piqa", "winogrande", "mmlu")
QUESTIONS = 6
SEED = 42


def score(value: float | None, stderr: float | None = 0.1) -> TaskScore:
    return TaskScore(
        task="piqa", metric="acc", value=value, stderr=stderr, n=10, version="1", num_fewshot=0, data="hub"
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_average_is_the_mean_of_the_tasks(values: list[float]) -> None:
    mean, stderr = average([score(v) for v in values])
    assert mean == pytest.approx(sum(values) / len(values))
    assert stderr == pytest.approx(0.1 / len(values) ** 0.5)


def test_average_is_missing_when_a_task_is() -> None:
    assert average([score(0.5), score(None)]) == (None, None)
    assert average([]) == (None, None)


class _Tokenizer:
    def __init__(self, bos_token: str | None) -> None:
        self.bos_token = bos_token


class _Model:
    def __init__(self, model_type: str) -> None:
        self.config = type("Config", (), {"model_type": model_type})()


@pytest.mark.parametrize(
    ("asked", "family", "bos", "used"),
    [
        (None, "llama", "<|begin_of_text|>", True),
        (None, "llama", "<|im_start|>", None),
        (None, "qwen3", None, None),
        (False, "llama", "<|begin_of_text|>", False),
        (True, "qwen3", "<s>", True),
    ],
)
def test_bos_token_is_added_for_llama_as_in_the_published_tables(
    asked: Any, family: str, bos: Any, used: Any
) -> None:
    assert default_add_bos_token(asked, _Model(family), _Tokenizer(bos)) is used


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Settings, str, int], Any]:
    """What lm-eval's own `hf` backend finds for a task, each task once."""
    found: dict[tuple[str, int], Any] = {}

    def evaluate(settings: Settings, task: str, num_fewshot: int) -> Any:
        from lm_eval import simple_evaluate

        if (task, num_fewshot) not in found:
            found[task, num_fewshot] = simple_evaluate(
                model="hf",
                model_args={
                    "pretrained": str(fetch("demo", settings).path),
                    "dtype": "float32",
                    "softmax_dtype": "float32",
                },
                tasks=[task],
                num_fewshot=num_fewshot,
                batch_size=4,
                limit=QUESTIONS,
                device="cpu",
                bootstrap_iters=0,
                task_manager=task_manager(TASKS, settings).manager,
                fewshot_random_seed=SEED,
            )
        return found[task, num_fewshot]

    return evaluate


@pytest.mark.demo
@pytest.mark.parametrize(
    ("task", "num_fewshot"),
    [
        ("lambada_openai", 0),
        ("hellaswag", 0),
        ("piqa", 0),
        ("winogrande", 0),
        ("mmlu_anatomy", 0),
        ("mmlu_anatomy", 5),
    ],
)
@pytest.mark.parametrize("scorer", ["packed", "lm_eval"])
def test_bf16_row_is_exactly_that_of_lm_evals_own_backend(
    scorer: str, task: str, num_fewshot: int, demo_settings: Settings, theirs: Any
) -> None:
    expected = theirs(demo_settings, task, num_fewshot)
    samples = {sample["doc_id"]: sample for sample in expected["samples"][task]}
    options = Options(limit=QUESTIONS, batch_size=4, add_bos_token=None, seed=SEED)
    model, tokenizer = load(fetch("demo", demo_settings), "cpu", "float32", demo_settings, hub_kernels=False)
    lm = language_model(scorer, model, tokenizer, options)
    tasks = task_manager(TASKS, demo_settings)
    score, questions = run_task(lm, TaskRequest(task, "demo bundle", num_fewshot), tasks.manager, options)
    assert score.value == expected["results"][task]["acc,none"]
    assert score.acc_norm == expected["results"][task].get("acc_norm,none")
    assert len(questions) == QUESTIONS
    for row in questions:
        responses = [response[0] for response in samples[row.doc_id]["resps"]]
        assert row.acc == samples[row.doc_id]["acc"]
        assert list(row.is_greedy) == [bool(greedy) for _, greedy in responses]
        assert list(row.loglikelihoods) == pytest.approx([value for value, _ in responses], abs=1e-3)


@pytest.mark.demo
def test_gsm8k_is_answered_as_by_lm_evals_own_backend(demo_settings: Settings, tiny_llama: Path) -> None:
    """In batches, both filters; a tiny random model, since only the answers' equality counts."""
    from lm_eval import simple_evaluate

    manager = task_manager(["gsm8k"], demo_settings).manager
    theirs = simple_evaluate(
        model="hf", model_args={"pretrained": str(tiny_llama), "dtype": "float32", "softmax_dtype": "float32"},
        tasks=["gsm8k"], num_fewshot=1,
        batch_size=1, limit=3, device="cpu", bootstrap_iters=0, task_manager=manager, fewshot_random_seed=SEED,
    )  # fmt: skip
    model, tokenizer = load(LocalModel(tiny_llama, "tiny", "folder", "r"), "cpu", "float32", demo_settings, False)
    options = Options(limit=3, batch_size=2, add_bos_token=None, seed=SEED)
    lm = language_model("packed", model, tokenizer, options)
    steps: list[tuple[int, int]] = []
    lm.progress = lambda done, total: steps.append((done, total))
    score, questions = run_task(lm, TaskRequest("gsm8k", "demo bundle", 1), manager, options)
    expected = {s["doc_id"]: s["resps"][0][0] for s in theirs["samples"]["gsm8k"]}
    assert {sample.doc_id: sample.answer for sample in questions} == expected
    assert (score.value, score.flexible) == (
        theirs["results"]["gsm8k"]["exact_match,strict-match"],
        theirs["results"]["gsm8k"]["exact_match,flexible-extract"],
    )
    assert len(steps) > 3
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]


def test_an_answer_in_writing_is_one_row_with_both_filters() -> None:
    sample = {
        "doc_id": 7, "doc_hash": "h", "prompt_hash": "p", "arguments": [("Question: 1 + 1?\nAnswer:", {})],
        "target": "#### 2", "resps": [["It is 2."]],
    }  # fmt: skip
    found = [
        sample | {"filter": "strict-match", "exact_match": 0.0},
        sample | {"filter": "flexible-extract", "exact_match": 1.0},
    ]
    (row,) = samples_of("gsm8k", "exact_match,strict-match", {"gsm8k": found})
    assert (row.acc, row.flexible, row.answer) == (0.0, 1.0, "It is 2.")


def test_options_that_differ_in_the_context_are_stored_from_there_on() -> None:
    asked = "Sarah was a better surgeon than Maria so "
    assert question_and_options([asked + "Sarah", asked + "Maria"], [" got it."] * 2) == (
        asked.strip(),
        [" Sarah got it.", " Maria got it."],
    )
    assert question_and_options(["The sky is"] * 2, [" blue", " red"]) == (
        "The sky is",
        [" blue", " red"],
    )
