"""What the benchmarks measure on: the demo model in float32, and its tasks as lm-eval requests."""

import logging
from typing import Any

from qcompare.demo.bundle import Bundle, ensure_bundle
from qcompare.evaluate.tasks.manager import TaskSet, task_manager
from qcompare.settings import Settings

TASKS = ("lambada_openai", "hellaswag", "piqa", "winogrande")
SUBJECTS = ("abstract_algebra", "anatomy", "high_school_geography", "marketing", "philosophy", "world_religions")
SEED = 42


def quiet() -> None:
    """Only results on the screen."""
    import datasets

    logging.disable(logging.WARNING)
    datasets.disable_progress_bars()


def bundle() -> Bundle:
    """The demo bundle, fetched if missing."""
    return ensure_bundle(Settings(), print)


def load(dtype: str = "float32") -> tuple[Any, Any]:
    """The demo model on the CPU, and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = bundle().model
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    return model, AutoTokenizer.from_pretrained(folder)


def tasks() -> TaskSet:
    """All tasks, on the bundle's data."""
    return task_manager([*TASKS, "mmlu", "gsm8k"], Settings(offline=True))


def requests(task: str, limit: int, num_fewshot: int = 0, skip: int = 0) -> list[Any]:
    """lm-eval requests of questions `skip` to `limit` of a task; `mmlu` is `SUBJECTS`, `limit` questions each."""
    manager = tasks().manager
    names = [f"mmlu_{subject}" for subject in SUBJECTS] if task == "mmlu" else [task]
    found: list[Any] = []
    for name in names:
        loaded = manager.load(name)["tasks"][name]
        loaded.set_config("num_fewshot", num_fewshot)
        loaded.set_fewshot_seed(SEED)
        loaded.build_all_requests(limit=limit, rank=0, world_size=1)
        found += [request for request in loaded.instances if request.doc_id >= skip]
    return found
