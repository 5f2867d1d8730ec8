"""What the jobs of a study share."""

from pathlib import Path
from typing import Any

import pytest
import torch

from qcompare.evaluate import benchmarks
from qcompare.jobs import submit
from qcompare.jobs.worker import run_job
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.spec import HeldOut, Study


def test_the_scoring_mode_is_tried_once_and_the_original_is_read_once(
    tiny_llama: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, tries = [], benchmarks.choose_scoring_mode

    def counted(model: Any, tokenizer: Any) -> Any:
        tried.append(tries(model, tokenizer))
        return tried[-1]

    monkeypatch.setattr(benchmarks, "choose_scoring_mode", counted)
    monkeypatch.setattr(submit, "ensure_running", lambda settings: None)
    text = tmp_path / "text.txt"
    text.write_text("The capital of France is Paris, and it is famous for its food. " * 4)
    held_out = HeldOut(text=str(text), num_samples=2, max_seq_length=16)
    study = Study(
        model=str(tiny_llama), tasks=(), recipes=("bf16", "uniform"), prompts=("Why?",), divergence=held_out
    )
    store, record = Store(settings.home), submit.submit(study, settings)
    results = []
    for job in store.jobs(record.id):
        run_job(store, job, settings)
        results.append(store.folder(job.id).result())
    assert [choice.mode for choice in tried] == ["packed"]
    original, uniform = (result.divergence for result in results)
    assert original and uniform
    assert (original.kl, original.perplexity) == (0.0, uniform.reference_perplexity)
    assert uniform.kl > 0
    assert all(result.generations[0].tokens for result in results)
    assert not torch.backends.cuda.cudnn_sdp_enabled()  # it plans for every new shape


def test_own_texts_too_short_for_a_divergence_leave_their_scores(
    tiny_llama: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "ensure_running", lambda settings: None)
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "Paris."}\n{"text": "Rome."}\n')
    study = Study(model=str(tiny_llama), tasks=(str(texts),), recipes=("bf16",), prompts=(), divergence=HeldOut())
    store, record = Store(settings.home), submit.submit(study, settings)
    (job,) = store.jobs(record.id)
    run_job(store, job, settings)
    result = store.folder(job.id).result()
    assert result.divergence is None
    assert result.tasks


def test_a_study_that_goes_on_with_more_questions_computes_only_the_new_ones(
    tiny_llama: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "ensure_running", lambda settings: None)
    questions = tmp_path / "mine.csv"
    lines = [f"What is {n} plus {n}?,{2 * n},{n},7{n},A" for n in range(12)]
    questions.write_text("\n".join(["question,A,B,C,answer", *lines]) + "\n", encoding="utf-8")
    study = Study(
        model=str(tiny_llama), tasks=(str(questions),), limit=4, recipes=("bf16", "uniform"), prompts=(),
        divergence=None,
    )  # fmt: skip
    store, record = Store(settings.home), submit.submit(study, settings, name="mine")
    for job in store.jobs(record.id):
        run_job(store, job, settings)
    more = submit.ask_more(record.id, 10, settings)
    assert (more.name, more.spec.limit) == ("mine · 10 questions", 10)
    for job in store.jobs(more.id):
        run_job(store, job, settings)
    for before, after in zip(store.results(record.id), store.results(more.id), strict=True):
        assert (before.tasks[0].n, after.tasks[0].n) == (4, 10)
        assert (before.reused_requests, after.reused_requests) == (0, 12)
    assert submit.ask_more(more.id, 12, settings).name == "mine · 12 questions"
