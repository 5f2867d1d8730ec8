"""Benchmarks, run by lm-eval through its public API; the answer to every question is kept."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from qcompare.study.result import TaskScore
from qcompare.study.samples import Sample

if TYPE_CHECKING:
    from qcompare.evaluate.cached import CachedLM
    from qcompare.evaluate.scoring.memory import Budget
    from qcompare.evaluate.scoring.modes import ModeChoice
    from qcompare.evaluate.scoring.plain import PlainLM

BOOTSTRAP_ITERATIONS = 1000
"""For lm-eval's stderr of metrics without a closed form; its default of 100 000 costs minutes for lambada."""
LLAMA_BOS = ("<|begin_of_text|>", "<s>")

Report = Callable[[int, int], None]
"""Told (requests done, requests in all)."""


@dataclass(frozen=True)
class Options:
    """How the questions are put; the same for every recipe of a study."""

    limit: int | None
    batch_size: int
    add_bos_token: bool | None
    seed: int


@dataclass(frozen=True)
class TaskRequest:
    """One task of a study."""

    task: str
    """Its name in the study and in the task manager."""
    data: str
    """Where its questions come from, in words."""
    num_fewshot: int


ACC, EXACT_MATCH = "acc,none", "exact_match,none"
STRICT, FLEXIBLE = "exact_match,strict-match", "exact_match,flexible-extract"
"""Metrics of gsm8k: a number after `####`, or the last number of the answer."""
METRICS = (STRICT, EXACT_MATCH, ACC)
"""What a task's value is: the first of these that it has."""


def choose_scoring_mode(model: Any, tokenizer: Any) -> "ModeChoice":
    """The packed scorer's mode for a model, by a trial that must be made before the model is quantized.

    Rounded activations turn differences in the last bit into visible ones, which says nothing about the mode; and all
    recipes of a study must be scored alike.
    """
    from qcompare.evaluate.scoring.lm import PackedLM

    return PackedLM(model, tokenizer).mode_choice


def language_model(
    scorer: str,
    model: Any,
    tokenizer: Any,
    options: Options,
    budget: "Budget | None" = None,
    mode_choice: "ModeChoice | None" = None,
) -> "CachedLM | PlainLM":
    """An lm-eval model around a loaded one.

    Args:
        scorer: `packed` (ours) or `lm_eval` (its own `hf` backend).
        budget: tokens of the packed scorer's forward passes; None: as free memory allows.
        mode_choice: from `choose_scoring_mode`; None: tried on this very model.

    Returns:
        The model; its attribute `progress` is called with (done, total), `mode` says how it scores.
    """
    if scorer == "packed":
        from qcompare.evaluate.cached import CachedLM

        return CachedLM(
            model,
            tokenizer,
            add_bos_token=options.add_bos_token,
            batch_size=options.batch_size,
            budget=budget,
            mode_choice=mode_choice,
        )
    from qcompare.evaluate.scoring.plain import PlainLM

    return PlainLM(
        pretrained=model, tokenizer=tokenizer, batch_size=options.batch_size, add_bos_token=options.add_bos_token
    )


def default_add_bos_token(wanted: bool | None, model: Any, tokenizer: Any) -> bool | None:
    """The study's choice; where it has none, yes for Meta's Llama models, as the published tables did.

    Other models of the `llama` architecture keep their tokenizer's own default (None).
    """
    if wanted is not None:
        return wanted
    is_llama = getattr(model.config, "model_type", "") == "llama" and tokenizer.bos_token in LLAMA_BOS
    return True if is_llama else None


def run_task(lm: Any, request: TaskRequest, task_manager: Any, options: Options) -> tuple[TaskScore, list[Sample]]:
    """Run one task (or group) and return its score and all its questions."""
    from lm_eval import simple_evaluate

    with _without_environment_info():
        found = simple_evaluate(
            model=lm,
            tasks=[request.task],
            num_fewshot=request.num_fewshot,
            limit=options.limit,
            bootstrap_iters=BOOTSTRAP_ITERATIONS,
            log_samples=True,
            task_manager=task_manager,
            random_seed=options.seed,
            numpy_random_seed=options.seed,
            torch_random_seed=options.seed,
            fewshot_random_seed=options.seed,
        )
    samples = _samples(request.task, found["samples"])
    values = found["results"][request.task]
    metric = next((each for each in METRICS if each in values), ACC)
    score = TaskScore(
        task=request.task,
        metric=metric.removesuffix(",none"),
        value=_number(values.get(metric)),
        stderr=_number(values.get(_stderr(metric))),
        n=len(samples),
        acc_norm=_number(values.get("acc_norm,none")),
        acc_norm_stderr=_number(values.get("acc_norm_stderr,none")),
        flexible=_number(values.get(FLEXIBLE)),
        flexible_stderr=_number(values.get(_stderr(FLEXIBLE))),
        version=str(found["versions"].get(request.task)),
        num_fewshot=request.num_fewshot,
        data=request.data,
    )
    return score, samples


@contextmanager
def _without_environment_info() -> Iterator[None]:
    """Keep lm-eval (0.4.13) from asking git and the system after each task: it takes seconds."""
    with (
        patch("lm_eval.evaluator.get_git_commit_hash", lambda: None),
        patch("lm_eval.evaluator.add_env_info", lambda results: None),
    ):
        yield


def _stderr(metric: str) -> str:
    name, filter = metric.split(",")
    return f"{name}_stderr,{filter}"


def average(scores: Iterable[TaskScore]) -> tuple[float | None, float | None]:
    """Mean of the tasks' values and its standard error (tasks are independent); None when one is missing."""
    scores = list(scores)
    values = [s.value for s in scores if s.value is not None]
    if not scores or len(values) < len(scores):
        return None, None
    errors = [s.stderr for s in scores if s.stderr is not None]
    stderr = sqrt(sum(e * e for e in errors)) / len(scores) if len(errors) == len(scores) else None
    return sum(values) / len(values), stderr


def _samples(study_task: str, found: Mapping[str, list[dict[str, Any]]]) -> list[Sample]:
    """lm-eval's samples by leaf task, as stored: sorted by task and doc_id."""
    samples = [sample for task, some in found.items() for sample in _of_leaf(study_task, task, some)]
    return sorted(samples, key=lambda sample: sample.key)


def _of_leaf(study_task: str, task: str, samples: list[dict[str, Any]]) -> list[Sample]:
    if "exact_match" not in samples[0]:
        return [_with_options(study_task, task, sample) for sample in samples]
    flexible = {s["doc_id"]: float(s["exact_match"]) for s in samples if s["filter"] == "flexible-extract"}
    main = [s for s in samples if s["filter"] in ("strict-match", "none")]
    return [_written(study_task, task, s, flexible.get(s["doc_id"])) for s in main]


def _written(study_task: str, task: str, sample: dict[str, Any], flexible: float | None) -> Sample:
    """A question that is answered in writing."""
    return Sample(
        study_task=study_task,
        task=task,
        doc_id=sample["doc_id"],
        doc_hash=sample["doc_hash"],
        prompt_hash=sample["prompt_hash"],
        question=str(sample["arguments"][0][0]),
        options=(),
        target=str(sample["target"]),
        answer=str(sample["resps"][0][0]),
        loglikelihoods=(),
        is_greedy=(),
        acc=float(sample["exact_match"]),
        flexible=flexible,
    )


def _with_options(study_task: str, task: str, sample: dict[str, Any]) -> Sample:
    """A question whose options are scored by their likelihood."""
    requests = sample["arguments"]
    answers = [response[0] for response in sample["resps"]]
    question, options = _question_and_options(
        [str(request[0]) for request in requests], [str(request[1]) for request in requests]
    )
    return Sample(
        study_task=study_task,
        task=task,
        doc_id=sample["doc_id"],
        doc_hash=sample["doc_hash"],
        prompt_hash=sample["prompt_hash"],
        question=question,
        options=tuple(options),
        target=str(sample["target"]),
        answer=None,
        loglikelihoods=tuple(float(answer[0]) for answer in answers),
        is_greedy=tuple(bool(answer[1]) for answer in answers),
        acc=float(sample["acc"]),
        acc_norm=float(sample["acc_norm"]) if "acc_norm" in sample else None,
    )


def _question_and_options(contexts: list[str], continuations: list[str]) -> tuple[str, list[str]]:
    """A question and its options for people: options that differ in the context (winogrande) from there on."""
    if len(set(contexts)) == 1:
        return contexts[0], continuations
    alike = next(n for n, letters in enumerate(zip_longest(*contexts)) if len(set(letters)) > 1)
    shared = contexts[0][:alike].rpartition(" ")[0]
    options = [context[len(shared) :] + rest for context, rest in zip(contexts, continuations, strict=True)]
    return shared, options


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and isfinite(value) else None
