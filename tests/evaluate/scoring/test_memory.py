"""Out of memory, anywhere: the same scores, or one clear error."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from qcompare.evaluate.scoring import attention
from qcompare.evaluate.scoring.memory import Budget, release_memory
from qcompare.evaluate.scoring.modes import choose_mode
from qcompare.evaluate.scoring.packed import score_plan
from qcompare.evaluate.scoring.plan import Plan, make_plan
from qcompare.evaluate.scoring.sequences import unique_sequences
from qcompare.evaluate.scoring.sums import Scores

from .conftest import tiny_model

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def questions() -> tuple[Plan, int]:
    """Questions on topics under common examples: kept prefixes that have kept prefixes, in several jobs."""
    rng = random.Random(0)

    def words(count: int) -> list[int]:
        return [rng.randrange(3, 300) for _ in range(count)]

    examples = words(8)
    topics = [examples + words(7) for _ in range(3)]
    questions = [topic + words(6) for topic in topics for _ in range(5)]
    requests = [(question, words(length)) for question in questions for length in (1, 3)]
    return make_plan(unique_sequences(requests, 64), block_tokens=12, saved_tokens=1), len(requests)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Counts calls of attention (one per layer and row); the one numbered `fail` ends out of memory, `when` asked."""
    state: dict[str, Any] = {"made": 0, "fail": None, "when": "after"}
    plain = attention.packed_attention

    def counted(*args: Any, **kwargs: Any) -> Any:
        number, state["made"] = state["made"], state["made"] + 1
        if number == state["fail"] and state["when"] == "before":
            raise torch.OutOfMemoryError("CUDA out of memory")
        found = plain(*args, **kwargs)
        if number == state["fail"]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return found

    monkeypatch.setattr(attention, "packed_attention", counted)
    yield state


def assert_close(found: Scores, expected: Scores) -> None:
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]


@pytest.mark.parametrize("tokens", [128, 32])
@pytest.mark.parametrize("when", ["before", "after"])
def test_out_of_memory_at_any_layer_of_any_row_changes_no_score(
    when: str, tokens: int, questions: tuple[Plan, int], calls: dict[str, Any]
) -> None:
    plan, requests = questions
    expected = score_plan(tiny_model("llama"), plan, requests, Budget(tokens))
    total, survived = calls["made"], 0
    assert any(block.keep and block.prefix is not None for block in plan.blocks)
    for number in range(total):
        calls.update(made=0, fail=number, when=when)
        budget = Budget(tokens)
        try:
            assert_close(score_plan(tiny_model("llama"), plan, requests, budget), expected)
        except torch.OutOfMemoryError:  # a row of one block: nothing smaller is left to try
            continue
        survived += 1
        assert budget.tokens < tokens
    assert survived > total / 4


def test_out_of_memory_in_the_trial_is_no_reason_against_a_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(attention, "packed_attention", full)
    with pytest.raises(torch.OutOfMemoryError):
        choose_mode(tiny_model("llama"), 64)


def test_tensors_of_a_failed_pass_are_freed() -> None:
    freed: list[bool] = []

    class Tensor:
        def __del__(self) -> None:
            freed.append(True)

    def attempt() -> None:
        held = Tensor()
        raise MemoryError(id(held))

    try:
        attempt()
    except MemoryError as error:
        release_memory(error)
        assert freed


def test_budget_is_lowered_to_the_next_power_of_two_and_told_at_once() -> None:
    told: list[int] = []
    budget = Budget(1024, told.append)
    for tried, left in [(1024, 512), (1024, 512), (500, 256), (512, 256), (256, 128), (2, 1), (1, 1)]:
        budget.lower(tried)
        assert budget.tokens == left
    assert told == [512, 256, 128, 1]
