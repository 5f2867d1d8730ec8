"""Made-up records for tests of tables, plots and screens: a store that looks as if a study had run."""

import random
import re
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from qcompare.store import Store
from qcompare.study.layers import LayerScores, LinearLayer
from qcompare.study.next_tokens import AnswerTokens, Candidate, NextToken, NextTokens
from qcompare.study.prompts import so_far
from qcompare.study.records import Progress, Status, StudyRecord
from qcompare.study.result import Bits, Divergence, Environment, Generation, ModelRef, PassageKL, Result, TaskScore
from qcompare.study.samples import Sample, write_samples
from qcompare.study.spec import Study
from qcompare.study.task import TASKS

PROJECTIONS = (
    *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
    *("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
)
BLOCKS = 30
ACCURACY = {"bf16": 0.60, "uniform": 0.42, "head": 0.47, "tail": 0.50, "mixed": 0.57}
RECIPES = tuple(ACCURACY)
ENVIRONMENT = Environment(
    device="cpu", device_name="a CPU", dtype="float32", threads=2, python="3.11", platform="Linux",
    libraries={"torch": "2.13.0", "auto-round": "0.15.1"},
)  # fmt: skip
MODEL = ModelRef(
    name="SmolLM2-135M-Instruct", source="demo bundle", revision="0" * 12,
    num_params=134_515_008, num_quantized_params=106_168_320,
)  # fmt: skip
ANSWERS = {
    "bf16": "The capital of France is Paris. It is famous for the Eiffel Tower, its museums and its food.",
    "uniform": "The the capital France France is is a a city city.",
    "head": "The capital of France is Paris. It is the city of the city of the city.",
    "tail": "The capital of France is Paris. It is known for its history, art and culture.",
    "mixed": "The capital of France is Paris. It is famous for the Eiffel Tower, its museums and its food.",
}


@dataclass(frozen=True)
class Answered:
    """Scores and the answers behind them."""

    scores: list[TaskScore]
    samples: list[Sample]
    average: float
    stderr: float


Sizes = Mapping[str, Mapping[str, int]]
"""Task → leaf task → number of questions."""


def few(spec: Study) -> Sizes:
    """As many questions as a study asks for, mmlu with three subjects."""
    return {task: dict.fromkeys(_leaves(task, 3), spec.limit or 100) for task in spec.tasks}


def many(spec: Study, share: float = 1.0) -> Sizes:
    """A share of all the questions there are, mmlu with its 57 subjects."""
    infos = [TASKS[task] for task in spec.tasks]
    return {
        info.name: dict.fromkeys(_leaves(info.name, info.subjects), round(share * info.questions / info.subjects))
        for info in infos
    }


def _leaves(task: str, subjects: int) -> list[str]:
    return [f"mmlu_subject{i}" for i in range(subjects)] if task == "mmlu" else [task]


def answered(recipe: str, sizes: Sizes, story: str = "") -> Answered:
    """Right and wrong answers of a recipe: each question has a difficulty that all recipes share.

    Args:
        story: text that every question begins with.
    """
    own = random.Random(f"own-{recipe}")
    rows, scores = [], []
    for task, leaves in sizes.items():
        first = len(rows)
        for leaf, questions in leaves.items():
            shared = random.Random(f"shared-{leaf}")
            for doc_id in range(questions):
                difficulty = 0.85 * shared.random() + 0.15 * own.random()
                rows.append(_sample(task, leaf, doc_id, float(difficulty < ACCURACY.get(recipe, 0.5)), story))
        right = [row.acc for row in rows[first:]]
        mean = sum(right) / len(right)
        scores.append(
            TaskScore(
                task=task,
                metric="acc",
                value=mean,
                stderr=sqrt(mean * (1 - mean) / len(right)),
                n=len(right),
                version="1",
                num_fewshot=0,
                data="demo bundle",
            )
        )
    average = sum(score.value or 0 for score in scores) / len(scores)
    stderr = sqrt(sum((score.stderr or 0) ** 2 for score in scores)) / len(scores)
    return Answered(scores, rows, average, stderr)


def _sample(task: str, leaf: str, doc_id: int, acc: float, story: str) -> Sample:
    """One question as a job keeps it: four options, of which the first is the answer."""
    return sample(
        study_task=task,
        task=leaf,
        doc_id=doc_id,
        question=f"{story}Question {doc_id} of {leaf}: <b>which</b> 🦆 is it?",
        loglikelihoods=(-1.0 if acc else -3.0, -2.0, -4.0, -5.0),
        acc=acc,
        acc_norm=acc,
    )


def sample(**changes: Any) -> Sample:
    """One question of four options."""
    leaf, doc_id = changes.get("task", "piqa"), changes.get("doc_id", 0)
    values: dict[str, Any] = {
        "study_task": "piqa",
        "task": leaf,
        "doc_id": doc_id,
        "doc_hash": f"{leaf}-{doc_id}",
        "prompt_hash": f"{leaf}-{doc_id}-asked",
        "question": "Which is it?",
        "options": tuple(f" option {letter}" for letter in "ABCD"),
        "target": "0",
        "answer": None,
        "loglikelihoods": (-1.0, -2.0, -4.0, -5.0),
        "is_greedy": (False,) * 4,
        "acc": 1.0,
    }
    return Sample(**values | changes)


def layer_config(recipe: str) -> dict[str, str]:
    """Which layer gets which scheme."""
    pick: dict[str, Callable[[int, str], bool]] = {
        "uniform": lambda block, name: False,
        "head": lambda block, name: block >= 22,
        "tail": lambda block, name: block < 8,
        "mixed": lambda block, name: name.endswith("down_proj") or (block * 7 + len(name)) % 11 == 0,
    }
    if recipe not in pick:
        return {}
    names = ((block, f"model.layers.{block}.{name}") for block in range(BLOCKS) for name in PROJECTIONS)
    return {name: "MXFP8" if pick[recipe](block, name) else "MXFP4" for block, name in names}


def layer_scores(spec: Study) -> LayerScores:
    """Made-up sensitivities: layers that the made-up mixed recipe raises cost most at the low scheme."""
    low, high = spec.schemes[0], spec.schemes[-1]
    names = list(layer_config("mixed"))
    raised = {name for name, scheme in layer_config("mixed").items() if scheme != "MXFP4"}
    at_low = {name: 1 + n / 1000 + (3 if name in raised else 0) for n, name in enumerate(names)}
    bits = {scheme: dict.fromkeys(names, 1000 * width) for scheme, width in ((low, 4), (high, 8))}
    shapes = {"q": (576, 576), "k": (576, 192), "v": (576, 192), "o": (576, 576), "down": (1536, 576)}
    return LayerScores(
        losses={low: at_low, high: {name: loss / 16 for name, loss in at_low.items()}},
        bits=bits,
        layers=tuple(
            LinearLayer(
                name, *shapes.get(name.split(".")[-1].removesuffix("_proj"), (576, 1536)), int(name.split(".")[2])
            )
            for name in names
        ),
        num_params=MODEL.num_params,
    )


def next_tokens(result: Result) -> NextTokens:
    """Made-up probabilities of the words of a result's answers: each word is a token, its second choice is "city"."""
    return NextTokens(
        answers=tuple(
            AnswerTokens(
                prompt=answer.prompt,
                tokens=tuple(
                    NextToken(
                        match.start(),
                        (
                            Candidate(zlib.crc32(match.group().encode()), match.group(), -0.5),
                            Candidate(zlib.crc32(b" city"), " city", -1.5),
                        ),
                    )
                    for match in re.finditer(r"\s*\S+|$", answer.text)
                ),
            )
            for answer in result.generations
        )
    )


def make_result(study: StudyRecord, job_id: str, found: Answered | None = None, **changes: object) -> Result:
    """A result of one job of a study."""
    recipe, _, budget = job_id.split(".", 1)[1].partition("-")
    if found is None and study.spec.tasks:
        found = answered(recipe, few(study.spec))
    asked = float(budget) if budget else None
    achieved = {"bf16": 16.0, "uniform": 4.0}.get(recipe, (asked or 5.0) - 0.01)
    config = layer_config(recipe)
    kl = {"bf16": 0.0, "uniform": 1.7, "head": 1.3, "tail": 0.98}.get(recipe, 0.73)
    values: dict[str, object] = {
        "study_id": study.id,
        "job_id": job_id,
        "recipe": recipe,
        "model": MODEL,
        "layer_config": config,
        "bits": Bits(
            asked=asked, achieved=achieved, achieved_with_scales=achieved if recipe == "bf16" else achieved + 0.25
        ),
        "size_bytes": int(56_693_376 + MODEL.num_quantized_params * (achieved + 0.25 * bool(config)) / 8),
        "tasks": found.scores if found else [],
        "average": found.average if found else None,
        "average_stderr": found.stderr if found else None,
        "generations": [
            Generation(prompt=asked, text=ANSWERS.get(recipe, ""), tokens=20, seconds=1.5)
            for prompt in study.spec.prompts
            for asked in so_far(prompt)
        ],
        "divergence": Divergence(
            kl=kl,
            kl_stderr=0.05,
            top1_agreement=1.0 if recipe == "bf16" else 0.6,
            perplexity=20.0,
            reference_perplexity=12.0,
            tokens=4080,
            text="stories",
            passages=tuple(PassageKL(tokens=255, kl=kl * (1 + shift / 10)) for shift in (-1, 0, 1, 0) * 4),
        ),
        "simulated": recipe != "bf16",
        "seed": 42,
        "seconds": {"load": 2.0, "evaluate": 31.0},
        "peak_memory_bytes": 1_900_000_000,
        "environment": ENVIRONMENT,
    }
    return Result.model_validate(values | changes)


def add_study(store: Store, spec: Study | None = None, name: str = "SmolLM2 · MXFP4/8 · 5 bits") -> StudyRecord:
    """A queued study."""
    spec = spec or Study()
    plain = [(recipe, None) for recipe in spec.recipes if not recipe.takes_budget]
    mixed = [(recipe, bits) for bits in spec.avg_bits for recipe in spec.recipes if recipe.takes_budget]
    return store.add_study(spec, name, [*plain, *mixed])


def finish_job(
    store: Store, study: StudyRecord, job_id: str, found: Answered | None = None, **changes: object
) -> Result:
    """Publish a made-up result of a job and mark it done."""
    recipe = job_id.split(".", 1)[1].partition("-")[0]
    if found is None and study.spec.tasks:
        found = answered(recipe, few(study.spec))
    result = make_result(study, job_id, found, **changes)
    folder = store.folder(job_id)
    with folder.publish() as draft:
        (draft / "result.json").write_text(result.model_dump_json(), encoding="utf-8")
        if recipe == "mixed":
            (draft / "layers.json").write_text(layer_scores(study.spec).model_dump_json(), encoding="utf-8")
        if result.generations:
            tokens = next_tokens(result).model_dump_json()
            (draft / "next_tokens.json").write_text(tokens, encoding="utf-8")
        if result.tasks and found:
            write_samples(draft / "samples.parquet", found.samples)
    folder.log.write_text("loading the model\nscoring\ndone\n", encoding="utf-8")
    _set_running(store, job_id)
    store.finish(job_id, Status.SUCCESS)
    return result


def run_job(store: Store, job_id: str, stage: str = "hellaswag", fraction: float = 0.4) -> None:
    """Mark a job running, with a progress event and a log."""
    _set_running(store, job_id)
    folder = store.folder(job_id)
    folder.report(Progress(time=time.time(), stage=stage, done=10, total=25, fraction=fraction))
    folder.log.write_text("".join(f"line {n}: scoring {stage}\n" for n in range(60)), encoding="utf-8")


def fail_job(store: Store, job_id: str, error: str) -> None:
    """Mark a job failed."""
    _set_running(store, job_id)
    store.folder(job_id).log.write_text(f"loading the model\n{error}\n", encoding="utf-8")
    store.finish(job_id, Status.FAILED, error)


def finished_study(home: Path, spec: Study | None = None) -> StudyRecord:
    """A store with one study of which every job succeeded."""
    store = Store(home)
    study = add_study(store, spec)
    for job in store.jobs(study.id):
        finish_job(store, study, job.id)
    return store.study(study.id)


def _set_running(store: Store, job_id: str) -> None:
    while store.job(job_id).status is Status.QUEUED:
        claimed = store.claim("cpu")
        if claimed is None or claimed.id == job_id:
            return
