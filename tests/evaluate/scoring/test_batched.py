"""Generated answers: lm-eval's own, kept batch by batch, reported step by step, halved on out-of-memory.

How those are written that `greedy` takes over is tested in `test_greedy`.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM

from qcompare.evaluate.cached import CachedLM
from qcompare.evaluate.scoring.batched import BatchedLM
from qcompare.evaluate.scoring.modes import ScoringMode
from qcompare.evaluate.scoring.plain import PlainLM

from .conftest import tiny_model

pytestmark = pytest.mark.filterwarnings("ignore")
TOKENS = 7
SHORT = {"until": ["\n"], "max_gen_toks": TOKENS}
LONG = {"until": ["."], "max_gen_toks": 12}
PROMPTS = [
    "The quick",
    "a",
    "brown fox jumps over",
    "Why? because",
    "The lazy dog",
    "naïve café",
    "東京",
    "Question:",
]


class Memory:
    """Answers by batch size."""

    def __init__(self) -> None:
        self.stored: dict[int, dict[bytes, str]] = {}
        self.batches: list[int] = []

    def at(self, size: int) -> Any:
        store = self.stored.setdefault(size, {})

        def put(texts: dict[bytes, str]) -> None:
            self.batches.append(len(texts))
            store.update(texts)

        return SimpleNamespace(get=lambda keys: {key: store[key] for key in keys if key in store}, put=put)


def requests(settings: dict[str, Any] = SHORT) -> list[Any]:
    return [SimpleNamespace(args=(prompt, settings)) for prompt in PROMPTS]


Make = Callable[..., BatchedLM]


def maker(kind: type[BatchedLM], tokenizer: Any, mode: ScoringMode | None = None) -> Make:
    """Make models of one kind; `mode` instead of the one that a trial finds."""

    def make_lm(batch_size: int = 3, memory: Memory | None = None) -> BatchedLM:
        given = {"pretrained": tiny_model("llama")} if kind is PlainLM else {"model": tiny_model("llama")}
        lm: Any = kind(**given, tokenizer=tokenizer, batch_size=batch_size)
        if mode:
            lm.mode, lm.mode_choice = mode, replace(lm.mode_choice, mode=mode)
        lm.answers_at = memory.at if memory else None
        return lm

    return make_lm


@pytest.fixture(params=[CachedLM, PlainLM])
def make(request: pytest.FixtureRequest, tokenizer: Any) -> Make:
    return maker(request.param, tokenizer)


@pytest.fixture(params=[CachedLM, PlainLM])
def make_padded(request: pytest.FixtureRequest, tokenizer: Any) -> Make:
    """Models whose answers are written in padded batches by HFLM."""
    return maker(request.param, tokenizer, ScoringMode.PADDED if request.param is CachedLM else None)


@pytest.fixture
def generate_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that the model was given; more than `most` do not fit."""
    model, sizes = tiny_model("llama"), []
    plain = model.generate

    def counted(input_ids: torch.Tensor, **kwargs: Any) -> Any:
        sizes.append(len(input_ids))
        return plain(input_ids=input_ids, **kwargs)

    monkeypatch.setattr(model, "generate", counted)
    return sizes


def test_answers_are_lm_evals_own(make: Make, tokenizer: Any) -> None:
    asked = [*requests(), *requests(LONG)]
    theirs = HFLM(pretrained=tiny_model("llama"), tokenizer=tokenizer, batch_size=1)
    assert make().generate_until(asked) == theirs.generate_until(asked, disable_tqdm=True)


def test_an_interrupted_evaluation_goes_on_after_its_last_batch(make_padded: Make, generate_calls: list[int]) -> None:
    undisturbed = make_padded().generate_until(requests())
    memory, count = Memory(), len(generate_calls)

    def stop_late(done: int, total: int) -> None:
        if done > 6 * TOKENS:  # in the middle of the third batch
            raise KeyboardInterrupt

    first = make_padded(memory=memory)
    first.progress = stop_late
    with pytest.raises(KeyboardInterrupt):
        first.generate_until(requests())
    assert memory.batches == [3, 3]
    del generate_calls[:]
    second = make_padded(memory=memory)
    assert second.generate_until(requests()) == undisturbed
    assert (second.reused, generate_calls) == (6, [2])
    assert count == 3


def test_out_of_memory_halves_the_batch_and_goes_on(make_padded: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = make_padded(batch_size=8).generate_until(requests())
    model, memory, sizes = tiny_model("llama"), Memory(), []
    plain, most = model.generate, 2

    def tight(input_ids: torch.Tensor, **kwargs: Any) -> Any:
        sizes.append(len(input_ids))
        if len(input_ids) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(input_ids=input_ids, **kwargs)

    monkeypatch.setattr(model, "generate", tight)
    assert make_padded(8, memory).generate_until(requests()) == expected
    assert sizes == [8, 4, 2, 2, 2, 2]
    assert {size: len(stored) for size, stored in memory.stored.items()} == {8: 0, 4: 0, 2: 8}
    assert make_padded(8, memory).generate_until(requests(LONG)) == make_padded().generate_until(requests(LONG))
    most = 0
    with pytest.raises(torch.OutOfMemoryError):
        make_padded(8).generate_until(requests())


def test_out_of_memory_in_lm_evals_own_scoring_halves_the_batch(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [SimpleNamespace(args=(prompt, " fox"), task_name=None) for prompt in PROMPTS]
    model = tiny_model("llama")
    expected = PlainLM(pretrained=model, tokenizer=tokenizer, batch_size=8).loglikelihood(pairs)
    lm = PlainLM(pretrained=model, tokenizer=tokenizer, batch_size=8)
    plain, sizes = lm._model_call, []

    def tight(inputs: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        sizes.append(len(inputs))
        if len(inputs) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(inputs, *args, **kwargs)

    monkeypatch.setattr(lm, "_model_call", tight)
    found = lm.loglikelihood(pairs)
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], abs=1e-4)
    assert sizes == [8, 4, 2, 2, 2, 2]


def test_progress_moves_with_every_step(make: Make) -> None:
    seen: list[tuple[int, int]] = []
    lm = make(batch_size=8)
    lm.progress = lambda done, total: seen.append((done, total))
    lm.generate_until(requests({"until": [], "max_gen_toks": TOKENS}))
    assert {total for _, total in seen} == {8 * TOKENS}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (8 * TOKENS, 8 * TOKENS)
    assert len({done for done, _ in seen}) >= TOKENS


def test_other_settings_or_another_batch_size_find_nothing(make: Make) -> None:
    memory = Memory()
    make(3, memory).generate_until(requests())
    for batch_size, settings in ((3, LONG), (4, SHORT)):
        other = make(batch_size, memory)
        other.generate_until(requests(settings))
        assert other.reused == 0


def test_sampled_answers_are_not_kept(make: Make) -> None:
    memory = Memory()
    make(3, memory).generate_until(requests({**SHORT, "do_sample": True, "temperature": 0.7}))
    assert memory.batches == []


def test_kept_answers_are_read_back_and_damaged_ones_are_not(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    from qcompare.evaluate.kept import KeptAnswers
    from qcompare.store.cache import Rows

    kept = KeptAnswers(Rows(tmp_path / "a.sqlite"))
    kept.put({b"a": "東京 🙂", b"b": ""})
    assert KeptAnswers(Rows(tmp_path / "a.sqlite")).get([b"a", b"b", b"c"]) == {b"a": "東京 🙂", b"b": ""}
    with closing(sqlite3.connect(kept.rows.path)) as db, db:
        db.execute("UPDATE rows SET value = ? WHERE key = ?", [b"x", b"a"])
    assert kept.get([b"a", b"b"]) == {b"b": ""}
