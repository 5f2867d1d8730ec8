"""What a job will cost, roughly: from this home's finished jobs of the same model, else from the sizes."""

import os

from qcompare.models.facts import ModelFacts
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.presets import TASKS
from qcompare.study.records import Result, Status
from qcompare.study.spec import Study

TOKENS_PER_QUESTION = {"lambada_openai": 90, "hellaswag": 400, "piqa": 90, "winogrande": 55, "mmlu": 130}
"""Tokens that lm-eval's backend feeds for one question, padding included; demo tokenizer, no few-shot examples."""
CPU_FLOPS_PER_CORE = 40e9
GPU_FLOPS = 1e14
SIMULATION_FACTOR = 2.0
"""Time of a simulated format over that of the original model."""
START_SECONDS = 15.0
WORKER_BYTES = 900_000_000
"""What Python and its libraries take before a model is loaded."""
HISTORY_JOBS = 20


class Estimates:
    """Estimates for the jobs of one study."""

    basis: str
    """Where they come from, in words."""

    def __init__(self, facts: ModelFacts, study: Study, settings: Settings, device: str) -> None:
        self._facts, self._study, self._device = facts, study, device
        self._past = _history(Store(settings.home), facts, device)
        self.basis = (
            "this machine's earlier runs of this model" if self._past else "a rule of thumb, nothing measured yet"
        )

    def seconds(self, recipe: str) -> float:
        """Duration of one job."""
        per_token = self._seconds_per_token(recipe)
        return START_SECONDS + sum(per_token * tokens for tokens in self._tokens()) + self._extra_seconds(recipe)

    def memory_bytes(self, recipe: str) -> int:
        """Peak memory of one job: weights at the compute dtype, activations and logits of a batch, the process."""
        width = 2 if self._device.startswith("cuda") else 4
        model = self._facts.num_params * width
        if recipe == "mixed":  # a second copy of the weights, and gradients of one block after another
            return int(model * 3.5) + 2 * WORKER_BYTES
        return int(model * 1.3) + WORKER_BYTES

    def disk_bytes(self) -> int:
        """What the study's files will take."""
        return 2_000_000 * len(self._study.recipes) * len(self._study.avg_bits)

    def _tokens(self) -> list[int]:
        study, counts = self._study, []
        for task in study.tasks:
            info = TASKS[task]
            questions = info.questions if study.limit is None else min(info.questions, study.limit * info.subjects)
            counts.append(questions * TOKENS_PER_QUESTION[task] * (1 + study.num_fewshot))
        return counts

    def _seconds_per_token(self, recipe: str) -> float:
        factor = 1.0 if recipe == "bf16" else SIMULATION_FACTOR
        if past := self._past.get(recipe):
            return past
        flops = GPU_FLOPS if self._device.startswith("cuda") else CPU_FLOPS_PER_CORE * (os.cpu_count() or 1)
        return factor * 2 * self._facts.num_params / flops

    def _extra_seconds(self, recipe: str) -> float:
        if recipe != "mixed":
            return 0.0
        study = self._study.calibration
        flops = GPU_FLOPS if self._device.startswith("cuda") else CPU_FLOPS_PER_CORE * (os.cpu_count() or 1)
        # forward and backward for each scheme, in auto-round's layer-by-layer way: about 20 plain forwards
        return 20 * 2 * self._facts.num_params * study.num_samples * study.max_seq_length / flops


def _history(store: Store, facts: ModelFacts, device: str) -> dict[str, float]:
    """Recipe → seconds a token, from the newest finished jobs."""
    found: dict[str, float] = {}
    for job in reversed(store.jobs(status=Status.SUCCESS)[-HISTORY_JOBS:]):
        folder = store.folder(job.id)
        if job.recipe in found or not folder.result_file.exists():
            continue
        result = folder.result()
        if result.reused_requests == 0 and result.model.name == facts.title and result.environment.device == device:
            tokens, seconds = _measured(result)
            if tokens:
                found[job.recipe] = seconds / tokens
    return found


def _measured(result: Result) -> tuple[int, float]:
    tokens = sum(s.n * TOKENS_PER_QUESTION.get(s.task, 100) * (1 + s.num_fewshot) for s in result.tasks)
    return tokens, sum(result.seconds.get(s.task, 0.0) for s in result.tasks)
