"""Benchmarks, run by lm-eval through its public API; the answer to every question is kept."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite, sqrt
from statistics import pstdev, stdev
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from qcompare.errors import QCompareError
from qcompare.evaluate.answers import samples_of
from qcompare.evaluate.metrics import Aggregation, main_metric, resampled, weighted_mean
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


class Unanswerable(QCompareError):
    """A model cannot answer questions of this kind; its message says why."""


@dataclass(frozen=True)
class Options:
    """How the questions are put; the same for every recipe of a study."""

    limit: int | None
    batch_size: int
    add_bos_token: bool | None
    seed: int
    chat_template: bool = False
    system_instruction: str | None = None
    fewshot_as_multiturn: bool = True
    gen_kwargs: Mapping[str, Any] = field(default_factory=dict)
    enable_thinking: bool | None = None
    think_end_token: str | int | None = None
    run_unsafe_code: bool = False
    """Run the code that models write as answers."""

    @property
    def thinking(self) -> dict[str, Any]:
        """Arguments of lm-eval's models."""
        return {"enable_thinking": self.enable_thinking, "think_end_token": self.think_end_token}


@dataclass(frozen=True)
class TaskRequest:
    """One task of a study."""

    task: str
    """Its name in the study."""
    data: str
    """Where its questions come from, in words."""
    num_fewshot: int | None
    """None: lm-eval's own, which may differ among a group's parts."""
    lm_eval_name: str = ""
    """Its name in the task manager, where that is another."""


FLEXIBLE = "exact_match,flexible-extract"
"""Metric of gsm8k: the last number of the answer counts."""


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
            **options.thinking,
        )
    from qcompare.evaluate.scoring.plain import PlainLM

    return PlainLM(
        pretrained=model,
        tokenizer=tokenizer,
        batch_size=options.batch_size,
        add_bos_token=options.add_bos_token,
        **options.thinking,
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
    """Run one task (or group) and return its score and all its questions.

    Raises:
        Unanswerable: the model cannot answer questions of this kind.
    """
    from lm_eval import simple_evaluate

    name = request.lm_eval_name or request.task
    loaded = task_manager.load([name])
    group = (loaded.get("groups") or {}).get(name)
    with _without_environment_info():
        found = simple_evaluate(
            model=lm,
            tasks=[group or loaded["tasks"][name]],
            num_fewshot=request.num_fewshot,
            limit=options.limit,
            bootstrap_iters=BOOTSTRAP_ITERATIONS,
            log_samples=True,
            task_manager=task_manager,
            random_seed=options.seed,
            numpy_random_seed=options.seed,
            torch_random_seed=options.seed,
            fewshot_random_seed=options.seed,
            apply_chat_template=options.chat_template,
            system_instruction=options.system_instruction,
            fewshot_as_multiturn=options.fewshot_as_multiturn,
            gen_kwargs=dict(options.gen_kwargs) or None,
            confirm_run_unsafe_code=options.run_unsafe_code,
        )
    parts = {task: each for task, each in loaded["tasks"].items() if task in found["samples"]}
    values = found["results"].get(name, {})
    if group is not None and not group.has_aggregation:
        values = weighted_mean([found["results"][task] for task in parts])
    metric = main_metric(values, parts.values())
    higher = _higher_is_better(found["higher_is_better"], [name, *parts], metric)
    samples = samples_of(request.task, metric, found["samples"], higher)
    by_size = _weight_by_size(group, metric)
    accuracy = by_size and is_accuracy(metric) and all(sample.acc in (0, 1) for sample in samples)
    draws = () if accuracy else resampled(_aggregations(found["samples"], parts, metric), by_size)
    stderr = _number(values.get(_stderr(metric)))
    if stderr is None and len(samples) > 1:  # lm-eval has no formula for it
        stderr = pstdev(draws) if draws else stdev(sample.acc for sample in samples) / sqrt(len(samples))
    score = TaskScore(
        task=request.task,
        metric=metric.removesuffix(",none"),
        value=_number(values.get(metric)),
        stderr=stderr,
        n=len(samples),
        acc_norm=_number(values.get("acc_norm,none")),
        acc_norm_stderr=_number(values.get("acc_norm_stderr,none")),
        flexible=_number(values.get(FLEXIBLE)),
        flexible_stderr=_number(values.get(_stderr(FLEXIBLE))),
        version=str(found["versions"].get(name)),
        num_fewshot=_num_fewshot(found["n-shot"], parts) if request.num_fewshot is None else request.num_fewshot,
        data=request.data,
        higher_is_better=higher,
        averaged=accuracy,
        others={
            key: number for key, value in values.items() if (number := _number(value)) is not None and "," in key
        },
        resamples=draws,
    )
    return score, samples


def is_accuracy(metric: str) -> bool:
    """Whether a metric is a share of right answers, by its name: those enter the average, others stand beside it."""
    return bool(re.fullmatch(r"acc|acc_.*|.*_acc|.*exact_match|em|.*accuracy.*|pass@\d+|mc1", metric.split(",")[0]))


def _higher_is_better(known: Mapping[str, Mapping[str, Any]], names: Iterable[str], metric: str) -> bool:
    """The direction of a metric as lm-eval says it of the first of these that has it; higher, where none says it."""
    name = metric.split(",")[0]
    said = (known[each][name] for each in names if known.get(each, {}).get(name) is not None)
    return bool(next(said, True))


def _weight_by_size(group: Any, metric: str) -> bool:
    configs = (group.aggregate_metric_list if group is not None else None) or []
    return all(each.weight_by_size for each in configs if each.metric == metric.split(",")[0])


def _num_fewshot(found: Mapping[str, Any], parts: Iterable[str]) -> int:
    return max((int(found.get(part) or 0) for part in parts), default=0)


def _aggregations(found: Mapping[str, Any], parts: Mapping[str, Any], metric: str) -> list[Aggregation]:
    """Of each part that has the metric: its values by question, and how lm-eval makes one number of them."""
    name, filter = metric.split(",", 1)
    rows = {
        task: [sample[name] for sample in samples if sample["filter"] == filter and name in sample]
        for task, samples in found.items()
    }
    return [Aggregation(rows[task], part.aggregation().get(name)) for task, part in parts.items() if rows.get(task)]


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
    """Mean of the tasks' accuracies and its standard error (tasks are independent); None when one is missing."""
    scores = [score for score in scores if score.averaged]
    values = [s.value for s in scores if s.value is not None]
    if not scores or len(values) < len(scores):
        return None, None
    errors = [s.stderr for s in scores if s.stderr is not None]
    stderr = sqrt(sum(e * e for e in errors)) / len(scores) if len(errors) == len(scores) else None
    return sum(values) / len(values), stderr


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and isfinite(value) else None
