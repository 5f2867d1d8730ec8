"""Benchmarks: our BF16 row is what lm-eval's own command would print for the same questions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompare.evaluate.benchmarks import Options, average, default_add_bos_token, language_model, run_task
from qcompare.evaluate.tasks import task_manager
from qcompare.models.sources import fetch, load
from qcompare.settings import Settings
from qcompare.study.records import TaskScore

TASKS = ("lambada_openai", "hellaswag", "piqa", "winogrande")


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


@pytest.mark.demo
def test_bf16_row_is_exactly_that_of_lm_evals_own_backend(demo_settings: Settings) -> None:
    from lm_eval import simple_evaluate

    local = fetch("demo", demo_settings)
    options = Options(limit=4, num_fewshot=0, batch_size=4, add_bos_token=None, seed=42)
    tasks = task_manager(TASKS, demo_settings)
    theirs = simple_evaluate(
        model="hf",
        model_args={"pretrained": str(local.path), "dtype": "float32"},
        tasks=list(tasks.runs_as.values()),
        batch_size=4,
        limit=4,
        device="cpu",
        bootstrap_iters=0,
        task_manager=tasks.manager,
    )
    model, tokenizer = load(local, "cpu", "float32", demo_settings, hub_kernels=False)
    lm = language_model("lm_eval", model, tokenizer, options)
    for task in TASKS:
        score, questions = run_task(lm, task, tasks.runs_as[task], tasks.data[task], tasks.manager, options)
        found = theirs["results"][tasks.runs_as[task]]
        samples = {sample["doc_id"]: sample for sample in theirs["samples"][tasks.runs_as[task]]}
        assert score.value == found["acc,none"]
        assert score.acc_norm == found.get("acc_norm,none")
        assert score.data == "demo bundle"
        for row in questions.itertuples():
            assert row.acc == samples[row.doc_id]["acc"]
            greedy = [bool(response[0][1]) for response in samples[row.doc_id]["resps"]]
            likelihoods = [response[0][0] for response in samples[row.doc_id]["resps"]]
            assert list(row.is_greedy) == greedy
            assert list(row.loglikelihoods) == pytest.approx(likelihoods, abs=1e-4)
