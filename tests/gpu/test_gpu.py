"""On a GPU: scores as lm-eval's, values as the CPU's, memory that runs out or is given back, a study and an export.

`QCOMPARE_GPU_TESTS=cpu` runs the same code without one.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from qcompare.jobs.control import cancel
from qcompare.jobs.exports import export_state, queue_export
from qcompare.jobs.submit import submit
from qcompare.models.sources import fetch, load
from qcompare.quantize.simulate import activation_rounding, simulate, weight_rounding
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Status
from qcompare.study.spec import Study
from tests.jobs.conftest import until, wait

KIND = os.environ.get("QCOMPARE_GPU_TESTS", "cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(KIND == "cuda" and not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]
DEVICE = "cpu" if KIND == "cpu" else "cuda:0"
SCHEMES = ("MXFP4", "MXFP8", "NVFP4", "FP8_DYNAMIC", "INT8_W8A8", "W4A16G32")
PAIRS = [
    (f"Question {n}: how do you keep bread fresh?\nAnswer:", f" put it in a box{' again' * n}") for n in range(6)
]


@pytest.fixture
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("QCOMPARE_DEVICE", KIND)
    return Settings()


@pytest.fixture
def model(tiny_llama: Path, settings: Settings) -> Iterator[tuple[Any, Any]]:
    yield load(fetch(str(tiny_llama), settings), DEVICE, "bfloat16", settings, False)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_rounded_values_equal_the_cpus(scheme: str) -> None:
    x = torch.randn(64, 512, generator=torch.Generator().manual_seed(1))
    x = x * torch.exp2(torch.arange(64.0)[:, None] / 4 - 8)
    for dtype in (torch.float32, torch.bfloat16):
        for rounding in filter(None, (weight_rounding(scheme), activation_rounding(scheme))):
            there = rounding(x.to(DEVICE, dtype))
            assert torch.equal(there.cpu(), rounding(x.to(dtype, copy=True)))


@pytest.mark.skipif(KIND == "cpu", reason="the kernel is compiled for CUDA")
def test_rows_are_attended_to_in_one_call(model: tuple[Any, Any]) -> None:
    from qcompare.evaluate.scoring import whole_rows
    from qcompare.evaluate.scoring.modes import choose_mode

    choice = choose_mode(model[0], 512)
    assert choice.whole_rows and choice.mode == "packed", (choice, whole_rows.failures())


@pytest.mark.parametrize("scheme", [None, *SCHEMES])
def test_scores_are_lm_evals(scheme: str | None, model: tuple[Any, Any]) -> None:
    from lm_eval.models.huggingface import HFLM

    from qcompare.evaluate.scoring.lm import PackedLM

    loaded, tokenizer = model
    ours = PackedLM(loaded, tokenizer)
    assert ours.mode == "packed", ours.mode_choice
    if scheme:
        layers = [n for n, m in loaded.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"]
        simulate(loaded, dict.fromkeys(layers, scheme))
    theirs = HFLM(pretrained=loaded, tokenizer=tokenizer, batch_size=1, softmax_dtype="float32")
    asked = [SimpleNamespace(args=pair, task_name=None) for pair in PAIRS]
    found = ours.loglikelihood(asked, True), theirs.loglikelihood(asked, disable_tqdm=True)
    away = [abs(one[0] / other[0] - 1) for one, other in zip(*found, strict=True)]
    # rounded inputs turn the last bits of another batch into steps of the format: on average they cancel
    assert sum(away) / len(away) < (0.1 if scheme else 0.02)


@pytest.mark.skipif(KIND == "cpu", reason="the CPU's memory cannot be limited")
def test_where_memory_runs_out_rows_get_shorter(model: tuple[Any, Any]) -> None:
    from qcompare.evaluate.scoring.lm import PackedLM
    from qcompare.evaluate.scoring.memory import Budget

    loaded, tokenizer = model
    expected = PackedLM(loaded, tokenizer)
    asked = [SimpleNamespace(args=(f"{n} {c}" * 40, d), task_name=None) for n in range(60) for c, d in PAIRS]
    scores = expected.loglikelihood(asked, True)
    total = torch.cuda.get_device_properties(0).total_memory
    tight = PackedLM(loaded, tokenizer, budget=Budget(1 << 16), mode_choice=expected.mode_choice)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + (60 << 20)) / total)
    try:
        found = tight.loglikelihood(asked, True)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert tight.budget.tokens < 1 << 16
    assert [x[0] for x in found] == pytest.approx([x[0] for x in scores], rel=0.02, abs=0.5)


def study_of(folder: Path, text: Path, **values: object) -> Study:
    return Study.model_validate({
        "model": str(folder), "tasks": (), "prompts": ("Why?",), "max_new_tokens": 4,
        "divergence": {"text": str(text), "num_samples": 2, "max_seq_length": 16}, **values,
    })  # fmt: skip


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("The capital of France is Paris, and it is famous for its food. " * 40)
    return path


def test_a_study_end_to_end_and_an_export_that_loads_again(
    tiny_llama: Path, text: Path, settings: Settings, tmp_path: Path
) -> None:
    """llm-compressor's recipe runs on the job's GPU; all GPUs are used."""
    store = Store(settings.home)
    recipes = ("bf16", "uniform", "head", "rtn_fp8_dynamic")
    record = submit(study_of(tiny_llama, text, recipes=recipes), settings)
    jobs = wait(store, record.id, 600)
    assert [job.status for job in jobs] == [Status.SUCCESS] * 4, [str(job.error) for job in jobs]
    results = [store.folder(job.id).result() for job in jobs]
    assert all(result.environment.device.startswith(KIND) for result in results)
    kls = [result.divergence.kl for result in results if result.divergence]
    assert kls[0] == 0.0 and min(kls[1:]) > 0
    queue_export(store, jobs[2], "auto_round", tmp_path / "out", settings)
    until(lambda: (state := export_state(store, jobs[2].id, "auto_round")) and state.status.ended, 600)
    state = export_state(store, jobs[2].id, "auto_round")
    assert state and state.status is Status.SUCCESS, state and state.error
    assert state.report and state.report.layers == 28


def test_a_cancelled_job_gives_its_memory_back(tiny_llama: Path, text: Path, settings: Settings) -> None:
    from qcompare.models.devices import job_devices
    from qcompare.plan.capacity import of_device

    device = job_devices(settings.device)[0]
    before = {holder.pid for holder in of_device(device).holders}
    store = Store(settings.home)
    record = submit(study_of(tiny_llama, text, recipes=("bf16",), max_new_tokens=4000), settings)
    until(lambda: store.jobs(record.id)[0].status is Status.RUNNING, 120)
    if KIND == "cuda":
        until(lambda: {holder.pid for holder in of_device(device).holders} - before, 120)
    cancel(record.id, settings)
    assert store.jobs(record.id)[0].status is Status.CANCELLED
    until(lambda: {holder.pid for holder in of_device(device).holders} <= before, 20)
