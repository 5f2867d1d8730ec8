"""Attention over a whole row sees what attention in buckets sees: here without its compiled kernel."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qcompare.evaluate.scoring import attention, whole_rows
from qcompare.evaluate.scoring.memory import Budget
from qcompare.evaluate.scoring.modes import ScoringMode, choose_mode
from qcompare.evaluate.scoring.packed import score_plan
from qcompare.evaluate.scoring.plan import Block, make_plan
from qcompare.evaluate.scoring.rows import make_row
from qcompare.evaluate.scoring.sequences import unique_sequences
from qcompare.evaluate.scoring.whole_rows import Visibility, block_mask, visibility_of

from .conftest import tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without")
CPU = torch.device("cpu")
tokens = st.lists(st.integers(0, 2), min_size=1, max_size=12)
requests = st.lists(st.tuples(tokens, tokens), min_size=1, max_size=12)


def way(blocks: list[Block], number: int, local: int) -> list[tuple[int, int]]:
    """What a token sees, itself last: (block, token) of all before it in its sequence."""
    block, found = blocks[number], []
    while local >= 0:
        found.append((number, local))
        local = block.parent[local]
    before = [] if block.prefix is None else way(blocks, block.prefix, len(blocks[block.prefix]) - 1)
    return before + found[::-1]


def seen(visibility: Visibility, window: int | None) -> np.ndarray:
    """Bool [queries, keys]."""
    queries, keys = np.arange(visibility.queries)[:, None], np.arange(len(visibility.last))
    visible = (keys <= queries + visibility.depth) & (queries <= visibility.last)
    if window is not None:
        visible &= visibility.positions[visibility.depth :, None] - visibility.positions < window
    return visible


@given(requests, st.integers(1, 30), st.data())
def test_every_query_sees_its_own_way_and_nothing_else(
    asked: list[tuple[list[int], list[int]]], block: int, data: st.DataObject
) -> None:
    blocks = make_plan(unique_sequences(asked, 24), block, saved_tokens=1).blocks
    first = data.draw(st.integers(0, len(blocks) - 1))
    numbers = list(range(first, data.draw(st.integers(first, len(blocks) - 1)) + 1))
    visibility = visibility_of(make_row(blocks, numbers, CPU))
    assert visibility is not None
    own = [(number, local) for number in numbers for local in range(len(blocks[number]))]
    stored = [] if visibility.prefix is None else way(blocks, visibility.prefix, len(blocks[visibility.prefix]) - 1)
    assert len(stored) == visibility.depth
    expected = [[key in way(blocks, *query) for key in stored + own] for query in own]
    assert np.array_equal(seen(visibility, None), np.array(expected))
    assert [visibility.positions[n] for n in range(len(stored + own))] == [
        len(way(blocks, *key)) - 1 for key in stored + own
    ]


def test_blocks_of_two_kept_prefixes_side_by_side_are_no_tree() -> None:
    kept = [Block([0] * 3, [0, 1, 2], [-1, 0, 1], keep=True) for _ in range(2)]
    under = [Block([0], [3], [-1], prefix=prefix, depth=3) for prefix in (0, 1, 0)]
    blocks = [*kept, *under]
    assert visibility_of(make_row(blocks, [2, 3], CPU)) is None
    assert visibility_of(make_row(blocks, [0, 1, 2], CPU)) is None  # the first prefix is used after the second
    assert visibility_of(make_row(blocks, [0, 2, 4], CPU)) is not None


@pytest.mark.parametrize("window", [None, 3, 40, 200])
@pytest.mark.parametrize("first", [0, 1, 3])
def test_tiles_hold_every_visible_pair_and_whole_ones_nothing_else(window: int | None, first: int) -> None:
    text = [[tuple([n, *range(150)])] for n in range(2)]
    asked = [(c, tuple(range(n, n + 100 + 30 * n))) for part in text for c in part for n in range(4)]
    blocks = make_plan(unique_sequences(asked, 400), 320, saved_tokens=24).blocks
    visibility = visibility_of(make_row(blocks, list(range(first, len(blocks))), CPU))
    assert visibility is not None
    some, every = visibility.tiles(window)
    visible = seen(visibility, window)
    padded = np.pad(visible, [(0, -size % whole_rows.TILE) for size in visible.shape])
    parts = padded.reshape(len(some), whole_rows.TILE, -1, whole_rows.TILE).swapaxes(1, 2)
    assert (some | ~parts.any((2, 3))).all()
    assert some.sum() < some.size
    counts = np.pad(np.ones_like(visible), [(0, -size % whole_rows.TILE) for size in visible.shape])
    inside = counts.reshape(parts.shape[0], whole_rows.TILE, -1, whole_rows.TILE).swapaxes(1, 2)
    assert not (every & (parts != inside).any((2, 3))).any()
    mask = block_mask(visibility, window, CPU)
    listed = np.zeros_like(some)
    for numbers, indices in ((mask.kv_num_blocks, mask.kv_indices), (mask.full_kv_num_blocks, mask.full_kv_indices)):
        for line, (count, columns) in enumerate(zip(numbers[0, 0], indices[0, 0], strict=True)):
            assert not listed[line, columns[:count]].any()
            listed[line, columns[:count]] = True
    assert np.array_equal(listed, some)


@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma2_eager", "gemma3", "mistral_window"])
def test_scores_are_those_of_buckets(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, generator = tiny_model(name), np.random.default_rng(0)
    shots = [tuple(generator.integers(3, 300, 20).tolist()) for _ in range(2)]
    asked = [
        (shot + tuple(generator.integers(3, 300, 5).tolist()), tuple(generator.integers(3, 300, size).tolist()))
        for shot in shots
        for size in (1, 4, 9, 2)
    ]
    plan = make_plan(unique_sequences([(c, o) for c, o in asked for _ in range(2)], 64), 20, saved_tokens=4)
    assert any(block.keep for block in plan.blocks)
    with torch.no_grad():
        expected = score_plan(model, plan, 16, Budget(40))
        monkeypatch.setattr(attention, "_attend_in_buckets", lambda row, store: None)
        found = score_plan(model, plan, 16, Budget(40), whole_rows=True)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert [one for one, _ in found] == pytest.approx([one for one, _ in expected], abs=1e-4)


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_the_models_trial_decides(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not choose_mode(tiny_model(name), 64).whole_rows
    monkeypatch.setattr(whole_rows, "can_be_used", lambda device: True)
    assert choose_mode(tiny_model(name), 64).whole_rows


def test_attention_that_differs_is_not_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = whole_rows._kernel(CPU)
    monkeypatch.setattr(whole_rows, "can_be_used", lambda device: True)
    monkeypatch.setattr(whole_rows, "_kernel", lambda device: lambda *args, **kwargs: kernel(*args, **kwargs) * 1.5)
    choice = choose_mode(tiny_model("llama"), 64)
    assert (choice.mode, choice.whole_rows, choice.refused) == (ScoringMode.PACKED, False, {})
    assert "are attended to in buckets: attention in one call differs from plain passes" in capsys.readouterr().out


def fails(*args: Any, **kwargs: Any) -> torch.Tensor:
    raise ValueError("no such head size\nand more")


def test_a_kernel_that_fails_leaves_rows_to_buckets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_model("llama")
    plan = make_plan(unique_sequences([((3, 4, 5), (6, 7)), ((3, 4, 5), (8,))], 64))
    monkeypatch.setattr(whole_rows, "_kernel", lambda device: fails)
    monkeypatch.setattr(whole_rows, "_failed", {})
    with torch.no_grad():
        assert score_plan(model, plan, 2, Budget(40), whole_rows=True) == score_plan(model, plan, 2, Budget(40))
    assert capsys.readouterr().out.count("flex_attention is not used for heads of 16: ValueError: no such head") == 1
    monkeypatch.setattr(whole_rows, "can_be_used", lambda device: True)
    assert not choose_mode(model, 64).whole_rows


def test_too_little_memory_is_no_failure_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*args: Any, **kwargs: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("none left")

    monkeypatch.setattr(whole_rows, "_kernel", lambda device: none_left)
    plan = make_plan(unique_sequences([((3, 4, 5), (6, 7))], 64))
    with torch.no_grad(), pytest.raises(torch.OutOfMemoryError):
        score_plan(tiny_model("llama"), plan, 1, Budget(40), whole_rows=True)
    assert whole_rows.failures() == []
