"""Paired differences: right value, honest interval, refusal of unequal questions."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcompare.errors import QCompareError
from qcompare.results.paired import paired_difference, read_answers, visible_difference


def answers(**tasks: list[int]) -> "pd.Series[float]":
    rows = [(task, doc_id, float(acc)) for task, accs in tasks.items() for doc_id, acc in enumerate(accs)]
    return pd.DataFrame(rows, columns=["task", "doc_id", "acc"]).set_index(["task", "doc_id"])["acc"].sort_index()


def test_difference_is_the_mean_over_tasks_of_the_means() -> None:
    ours, theirs = answers(a=[1, 1, 1, 1], b=[0, 0]), answers(a=[1, 1, 1, 0], b=[1, 0])
    found = paired_difference(ours, theirs, ["a", "b"])
    assert found.difference == pytest.approx((0.25 - 0.5) / 2)
    assert (found.gained, found.lost, found.questions) == (1, 1, 6)


def test_subjects_of_mmlu_weigh_by_their_questions() -> None:
    ours, theirs = answers(mmlu_a=[1, 1, 1], mmlu_b=[0]), answers(mmlu_a=[0, 0, 0], mmlu_b=[0])
    assert paired_difference(ours, theirs, ["mmlu"]).difference == pytest.approx(0.75)


def test_a_task_is_not_taken_for_another_whose_name_begins_alike() -> None:
    ours, theirs = answers(mmlu_a=[1, 1], mmlu_pro_x=[0, 0]), answers(mmlu_a=[0, 0], mmlu_pro_x=[0, 0])
    assert paired_difference(ours, theirs, ["mmlu", "mmlu_pro"]).difference == pytest.approx(0.5)


def test_the_same_comparison_gives_the_same_interval() -> None:
    ours, theirs = answers(a=[1, 0, 1, 0] * 10), answers(a=[1, 1, 0, 0] * 10)
    assert paired_difference(ours, theirs, ["a"]) == paired_difference(ours, theirs, ["a"])


def test_equal_answers_are_no_proof_of_no_difference() -> None:
    same = answers(a=[1, 0] * 12)
    found = paired_difference(same, same, ["a"])
    assert found.difference == 0
    assert found.low < 0 < found.high


def test_a_handful_of_lost_answers_is_not_called_real() -> None:
    theirs = [1] * 100
    ours = [0] * 4 + [1] * 96  # McNemar: p = 0.125
    assert not paired_difference(answers(a=ours), answers(a=theirs), ["a"]).is_real


def test_a_large_loss_is_called_real() -> None:
    found = paired_difference(answers(a=[0] * 30 + [1] * 70), answers(a=[1] * 100), ["a"])
    assert found.is_real
    assert found.high < 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_swapping_the_two_turns_the_sign(pairs: list[tuple[int, int]]) -> None:
    ours, theirs = answers(a=[a for a, _ in pairs]), answers(a=[b for _, b in pairs])
    there, back = paired_difference(ours, theirs, ["a"]), paired_difference(theirs, ours, ["a"])
    assert there.difference == pytest.approx(-back.difference)
    assert (there.lost, there.gained) == (back.gained, back.lost)
    assert -1 <= there.low <= there.high <= 1


@pytest.mark.parametrize("effect", [0.0, 0.06])
def test_intervals_hold_the_truth_about_as_often_as_they_say(effect: float) -> None:
    draw = np.random.default_rng(7)
    held = 0
    for _ in range(120):
        sides = []
        for count in (60, 100):
            changed = draw.random(count)
            sides.append(np.where(changed < 0.10 + effect, -1, np.where(changed > 0.90, 1, 0)))
        theirs = answers(a=list((sides[0] == -1).astype(int)), b=list((sides[1] == -1).astype(int)))
        ours = answers(a=list((sides[0] == 1).astype(int)), b=list((sides[1] == 1).astype(int)))
        found = paired_difference(ours, theirs, ["a", "b"])
        held += found.low <= -effect <= found.high
    assert 0.92 <= held / 120 <= 0.99


def test_different_questions_are_refused_with_the_count() -> None:
    with pytest.raises(QCompareError, match="1 shared of 2 and 1"):
        paired_difference(answers(a=[1, 0]), answers(a=[1]), ["a"])


def test_answers_are_read_from_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "job" / "result"
    folder.mkdir(parents=True)
    pd.DataFrame({"task": ["a", "a"], "doc_id": [1, 0], "acc": [1.0, 0.0], "other": ["x", "y"]}).to_parquet(
        folder / "samples.parquet"
    )
    assert list(read_answers(folder / "samples.parquet")) == [0.0, 1.0]


@pytest.mark.parametrize("content", [None, b"", b"PAR1 not really", random.Random(0).randbytes(1000)])
def test_unreadable_answers_are_one_line(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "the-job" / "result" / "samples.parquet"
    file.parent.mkdir(parents=True)
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(QCompareError, match="the-job"):
        read_answers(file)


def test_answers_that_are_not_right_or_wrong_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "the-job" / "result" / "samples.parquet"
    file.parent.mkdir(parents=True)
    pd.DataFrame({"task": ["a"], "doc_id": [0], "acc": [float("nan")]}).to_parquet(file)
    with pytest.raises(QCompareError, match="one right or wrong"):
        read_answers(file)


def test_more_questions_show_smaller_differences() -> None:
    four = ["lambada_openai", "hellaswag", "piqa", "winogrande"]
    assert visible_difference(four, 100) == pytest.approx(0.044, abs=0.001)
    assert visible_difference([*four, "mmlu"], None) == pytest.approx(0.007, abs=0.001)
    assert visible_difference([], 100) == 1.0
