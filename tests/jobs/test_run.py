"""What the jobs of a study share."""

from pathlib import Path
from typing import Any

import pytest
import torch

from qcompare.compare.table import read_comparison
from qcompare.evaluate import benchmarks
from qcompare.evaluate.scoring.lm import PackedLM
from qcompare.jobs import submit
from qcompare.jobs.worker import run_job
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.spec import HeldOut, Study
from qcompare.study.stage import Stage


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


@pytest.mark.parametrize("scorer", ["packed", "lm_eval"])
def test_a_sample_is_computed_again_in_another_dtype_and_its_scores_are_kept(
    scorer: Any, tiny_llama: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "ensure_running", lambda settings: None)
    questions, text = tmp_path / "mine.csv", tmp_path / "text.txt"
    lines = [f"What is {n} plus {n}?,{2 * n},{n},7{n},A" for n in range(60)]
    questions.write_text("\n".join(["question,A,B,C,answer", *lines]) + "\n", encoding="utf-8")
    text.write_text("The capital of France is Paris, and it is famous for its food. " * 12)
    study = Study(
        model=str(tiny_llama), tasks=(str(questions),), limit=55, recipes=("bf16", "uniform"), prompts=(),
        divergence=HeldOut(text=str(text), num_samples=3, max_seq_length=16), noise_floor=True, scorer=scorer,
    )  # fmt: skip
    store, record = Store(settings.home), submit.submit(study, settings)
    asked: list[int] = []
    score = PackedLM._score
    monkeypatch.setattr(PackedLM, "_score", lambda self, some: (asked.append(len(some)), score(self, some))[1])
    found = []
    for job in store.jobs(record.id):
        run_job(store, job, settings)
        found.append(store.folder(job.id).result())
    bf16, uniform = (result.noise for result in found)
    assert bf16 and uniform
    assert bf16.dtype == found[0].environment.dtype  # bfloat16 on CPUs with units for it
    assert bf16.dtype == found[0].environment.dtype  # bfloat16 on CPUs with units for it
    assert {bf16.dtype, bf16.other_dtype} == {"float32", "bfloat16"} and bf16.questions == 48
    assert bf16.changed < uniform.changed
    assert bf16.kl and uniform.kl and bf16.kl < uniform.kl
    assert bf16.tokens == 3 * 15
    assert all(Stage.NOISE in result.seconds for result in found)
    comparison = read_comparison(store, (record.id,))
    assert [row.noise for row in comparison.rows] == [bf16, uniform]
    if scorer == "packed":
        asked.clear()
        again = submit.submit(study, settings, name="again")
        for job in store.jobs(again.id):
            run_job(store, job, settings)
        assert asked == []
        assert [result.noise for result in store.results(again.id)] == [bf16, uniform]


@pytest.mark.parametrize("text", [None, "The capital of France is Paris, and it is famous for its food. "])
def test_no_noise_is_measured_unless_asked_for_and_there_is_something_to_compare(
    text: str | None, tiny_llama: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "ensure_running", lambda settings: None)
    (tmp_path / "text.txt").write_text(text or "")
    held_out = HeldOut(text=str(tmp_path / "text.txt"), max_seq_length=16) if text else None
    study = Study(model=str(tiny_llama), tasks=(), recipes=("bf16",), prompts=("Why?",), divergence=held_out)
    store = Store(settings.home)
    for asked in (False, True):
        record = submit.submit(study.model_copy(update={"noise_floor": asked}), settings, name=str(asked))
        (job,) = store.jobs(record.id)
        run_job(store, job, settings)
        result = store.folder(job.id).result()
        measured = asked and text is not None
        assert (result.noise is not None, Stage.NOISE in result.seconds) == (measured, measured)
        assert result.noise is None or (result.noise.questions, result.noise.kl_stderr) == (0, None)
