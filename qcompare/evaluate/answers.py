"""What lm-eval found for each question, as it is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from math import isfinite
from typing import Any

from qcompare.study.samples import Sample

Found = Mapping[str, Sequence[dict[str, Any]]]
"""lm-eval's samples by leaf task: one of each filter for every question."""


def samples_of(study_task: str, metric: str, found: Found, higher_is_better: bool = True) -> list[Sample]:
    """lm-eval's samples as stored: sorted by task and doc_id.

    Args:
        metric: the task's main one with its filter, as `acc,none`.
    """
    samples = [sample for task, some in found.items() for sample in _of_leaf(study_task, task, metric, some)]
    if not higher_is_better:  # a question's log-likelihood is higher where its perplexity is lower
        rated = bool(samples and samples[0].loglikelihoods and not samples[0].options)
        samples = samples if rated else [replace(sample, acc=-sample.acc) for sample in samples]
    return sorted(samples, key=lambda sample: sample.key)


def _of_leaf(study_task: str, task: str, metric: str, samples: Sequence[dict[str, Any]]) -> list[Sample]:
    name, filter = metric.split(",", 1)
    filters = {sample["filter"] for sample in samples}
    main = [s for s in samples if s["filter"] == (filter if filter in filters else samples[0]["filter"])]
    flexible = {s["doc_id"]: float(s[name]) for s in samples if s["filter"] == "flexible-extract" and name in s}
    return [_sample(study_task, task, name, each, flexible.get(each["doc_id"])) for each in main]


def _sample(study_task: str, task: str, metric: str, sample: dict[str, Any], flexible: float | None) -> Sample:
    requests = [request if isinstance(request, tuple | list) else (request,) for request in sample["arguments"]]
    answers = [response[0] for response in sample["resps"]]
    rated = not isinstance(answers[0], str)
    pairs = [answer if isinstance(answer, tuple | list) else (answer, False) for answer in answers] if rated else []
    if rated and len(requests[0]) > 1:
        asked, options = question_and_options([str(r[0]) for r in requests], [str(r[1]) for r in requests])
    else:
        asked, options = str(requests[0][0]), []
    return Sample(
        study_task=study_task,
        task=task,
        doc_id=sample["doc_id"],
        doc_hash=sample["doc_hash"],
        prompt_hash=sample["prompt_hash"],
        question=asked,
        options=tuple(options),
        target="" if not options and rated else str(sample["target"]),
        answer=None if rated else str(answers[0]),
        loglikelihoods=tuple(float(pair[0]) for pair in pairs),
        is_greedy=tuple(bool(pair[1]) for pair in pairs),
        acc=question_score(sample.get(metric)),
        acc_norm=float(sample["acc_norm"]) if "acc_norm" in sample else None,
        flexible=flexible,
    )


def question_score(value: Any) -> float:
    """The metric of one question as a number: of texts, log-likelihood per word or byte; NaN where there is none."""
    if isinstance(value, bool | int | float) or hasattr(value, "item"):
        return float(value)
    match value:
        case (int() | float() as total, int() as size) if size and isfinite(total):
            return total / size
    return float("nan")


def question_and_options(contexts: list[str], continuations: list[str]) -> tuple[str, list[str]]:
    """A question and its options for people: options that differ in the context (winogrande) from there on."""
    if len(set(contexts)) == 1:
        return contexts[0], continuations
    alike = next(n for n, letters in enumerate(zip_longest(*contexts)) if len(set(letters)) > 1)
    shared = contexts[0][:alike].rpartition(" ")[0]
    options = [context[len(shared) :] + rest for context, rest in zip(contexts, continuations, strict=True)]
    return shared, options
