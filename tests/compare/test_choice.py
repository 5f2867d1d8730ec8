"""What to ship: the rule's properties, and how often it is wrong."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompare.compare.choice import ALPHA, Choice, choose, choose_by_budget
from qcompare.compare.differences import Pair
from qcompare.compare.resampling import Counts
from qcompare.compare.resolution import standard_error
from qcompare.compare.statistics import PairedDifference, paired_differences
from qcompare.compare.table import Comparison, Row, read_comparison
from qcompare.store import Store
from qcompare.study.records import Status
from qcompare.study.result import Divergence, PassageKL
from qcompare.study.spec import Study
from tests.synthetic import finished_study


def row(name: str, average: float, size: int, **values: object) -> Row:
    return Row(
        job_id=name, recipe=name, title=name, avg_bits=None, status=Status.SUCCESS, error=None, average=average,
        size_bytes=size,
    ).model_copy(update=values)  # fmt: skip


def comparison(rows: Sequence[Row], pairs: Sequence[Pair], margin: float = 1.0) -> Comparison:
    return Comparison(
        study_ids=("x",), name="x", created=0.0, status=Status.SUCCESS, study=Study(tasks=("piqa",), margin=margin),
        model=None, rows=tuple(rows), pairs=tuple(pairs),
    )  # fmt: skip


def of_answers(right: np.ndarray, sizes: Sequence[int], margin: float = 1.0) -> Choice:
    """The choice among recipes by their answers, shape (recipes, questions), of 0 and 1."""
    ids = [f"r{n}" for n in range(len(right))]
    counts = {
        (ids[a], ids[b]): {"piqa": counted(right[a], right[b])}
        for a in range(len(ids))
        for b in range(a + 1, len(ids))
    }
    pairs = [Pair(job_id=a, other_job_id=b, difference=d) for (a, b), d in paired_differences(counts).items()]
    rows = [row(name, float(own.mean()), size) for name, own, size in zip(ids, right, sizes, strict=True)]
    found = choose(comparison(rows, pairs, margin))
    assert found
    return found


def counted(ours: np.ndarray, theirs: np.ndarray) -> Counts:
    found = np.bincount(3 - 2 * theirs - ours, minlength=4)
    return int(found[0]), int(found[1]), int(found[2]), int(found[3])


def answers(random: np.random.Generator, accuracies: Sequence[float], questions: int) -> np.ndarray:
    """Answers of recipes of true accuracies, alike in two thirds of what chance decides."""
    shared = random.random(questions) < 2 / 3
    common, own = random.random(questions), random.random((len(accuracies), questions))
    return (np.where(shared, common, own) < np.array(accuracies)[:, None]).astype(np.int64)


def studies(accuracies: Sequence[float], sizes: Sequence[int], questions: int, times: int) -> list[Choice]:
    random = np.random.default_rng(7)
    return [of_answers(answers(random, accuracies, questions), sizes) for _ in range(times)]


# how often it is wrong


@pytest.mark.parametrize("questions", [100, 1000, 4000])
@pytest.mark.parametrize("worse", [1, 3])
def test_a_recipe_that_is_worse_by_the_margin_is_hardly_ever_picked(questions: int, worse: int) -> None:
    accuracies, sizes = [0.60, *[0.59] * worse], [9, *range(1, worse + 1)]
    found = studies(accuracies, sizes, questions, times=300)
    wrong = sum(any(each.job_id != "r0" for each in choice.not_worse) for choice in found)
    assert wrong <= 300 * ALPHA + 2.5 * (300 * ALPHA) ** 0.5


def test_of_recipes_that_are_the_same_the_smallest_is_picked_once_the_questions_suffice() -> None:
    found = studies([0.60, 0.60, 0.60], [3, 1, 2], questions=20_000, times=40)
    picked = [choice.pick.job_id if choice.pick else "" for choice in found]
    assert picked.count("r1") >= 36
    assert sum(choice.all_the_same for choice in found) >= 24


def test_a_clearly_better_recipe_is_picked_though_it_is_the_largest() -> None:
    found = studies([0.60, 0.50, 0.52], [9, 1, 2], questions=1000, times=40)
    assert all(choice.pick and choice.pick.job_id == "r0" for choice in found)


def test_the_number_of_questions_it_asks_for_mostly_suffices() -> None:
    random = np.random.default_rng(3)
    accuracies, sizes = [0.60, 0.57], [2, 1]
    few = [of_answers(answers(random, accuracies, 1500), sizes) for _ in range(20)]
    needed = [choice.questions_needed for choice in few if choice.questions_needed]
    assert needed
    more = [of_answers(answers(random, accuracies, max(needed)), sizes) for _ in range(20)]
    assert sum(bool(choice.not_worse) for choice in more) >= 16


# properties

cells = st.tuples(*[st.integers(0, 400)] * 4).filter(lambda found: sum(found) > 0)


def of_counts(found: Sequence[Counts], sizes: Sequence[int], margin: float) -> Choice:
    """Three recipes with any counts of each pair."""
    ids = ["a", "b", "c"]
    keys = [("a", "b"), ("a", "c"), ("b", "c")]
    differences = paired_differences({key: {"piqa": count} for key, count in zip(keys, found, strict=True)})
    pairs = [Pair(job_id=a, other_job_id=b, difference=paired) for (a, b), paired in differences.items()]
    rows = [row(name, 0.5, size) for name, size in zip(ids, sizes, strict=True)]
    choice = choose(comparison(rows, pairs, margin))
    assert choice
    return choice


@given(st.tuples(cells, cells, cells), st.permutations([1, 2, 3]), st.floats(0, 20), st.floats(0, 20))
def test_a_wider_margin_lets_more_pass_and_the_pick_is_never_larger(
    found: tuple[Counts, Counts, Counts], sizes: list[int], one: float, other: float
) -> None:
    strict, loose = (of_counts(found, sizes, margin) for margin in sorted((one, other)))
    assert {each.job_id for each in strict.not_worse} <= {each.job_id for each in loose.not_worse}
    if strict.not_worse:
        assert (loose.not_worse[0].size_bytes or 0) <= (strict.not_worse[0].size_bytes or 0)


@given(st.tuples(cells, cells, cells), st.permutations([1, 2, 3]), st.floats(0, 20))
def test_what_passes_is_never_significantly_worse_by_the_margin(
    found: tuple[Counts, Counts, Counts], sizes: list[int], margin: float
) -> None:
    choice = of_counts(found, sizes, margin)
    for passed in choice.not_worse:
        for other in choice.rows:
            if other is not passed:
                assert choice.differences[passed.job_id, other.job_id].difference > -choice.margin
    assert bool(choice.questions_needed) <= (not choice.not_worse)


@given(st.tuples(cells, cells, cells), st.permutations([1, 2, 3]))
def test_above_its_own_margin_a_row_passes(found: tuple[Counts, Counts, Counts], sizes: list[int]) -> None:
    choice = of_counts(found, sizes, 0.0)
    for each in choice.rows:
        needed = 100 * choice.margin_of(each) + 1e-6
        if needed <= 100:
            assert each.job_id in {passed.job_id for passed in of_counts(found, sizes, max(0.0, needed)).not_worse}


# single cases


def paired(points: float, error: float, questions: int = 1000) -> PairedDifference:
    found = paired_differences({"": {"piqa": (400, 50, 50, 500)}})[""]
    half = 1.959964 * error / 100
    return found.model_copy(
        update={"difference": points / 100, "low": points / 100 - half, "high": points / 100 + half, "level": 0.95,
                "p_holm": 0.001 if abs(points) > 3 * error else 0.5, "questions": questions}
    )  # fmt: skip


def with_kl(kl: float, noise: float = 0.0) -> Divergence:
    passages = tuple(PassageKL(tokens=100, kl=kl + noise * shift) for shift in (-1, 1, 0.5, -0.5) * 4)
    return Divergence(
        kl=kl, kl_stderr=0.01, top1_agreement=0.9, perplexity=10, reference_perplexity=9, tokens=1600, text="t",
        passages=passages,
    )  # fmt: skip


def two(points: float, error: float, **values: object) -> Choice:
    rows = [row("large", 0.6, 2, divergence=with_kl(0.1)), row("small", 0.6, 1, divergence=with_kl(0.5, 0.1))]
    found = choose(comparison(rows, [Pair(job_id="large", other_job_id="small", difference=paired(points, error))]))
    assert found
    return found


def test_the_error_of_a_made_up_pair_is_read_back() -> None:
    assert standard_error(paired(1, 0.7)) == pytest.approx(0.007)


def test_where_accuracy_cannot_tell_the_lowest_kl_stands_in_and_more_questions_are_named() -> None:
    found = two(points=1, error=2)
    assert found.not_worse == () and found.pick and found.pick.job_id == "large"
    assert found.questions_needed == 8000  # (1.96 + 0.84) * 2 points of error over a gap of 1 + 1 points, squared


def test_more_questions_than_the_tasks_hold_are_not_asked_for(home: Path) -> None:
    study = finished_study(home, Study(limit=20, tasks=("piqa",), recipes=("bf16", "tail", "head")))
    found = choose(read_comparison(Store(home), (study.id,)))
    assert found and found.available == 1838
    rows = [each.model_copy(update={"average": 0.6}) for each in found.rows]
    pair = Pair(job_id=rows[0].job_id, other_job_id=rows[1].job_id, difference=paired(0, 3, questions=20))
    same = Choice(found.comparison.model_copy(update={"pairs": (pair,)}), tuple(rows), 0.01)
    assert same.questions_needed == 1838  # all of them, where 1 500 should do
    assert Choice(same.comparison, same.rows, 0.001).questions_needed is None


def test_a_kl_that_is_not_significantly_lower_picks_nothing() -> None:
    rows = [row("large", 0.6, 2, divergence=with_kl(0.5)), row("small", 0.6, 1, divergence=with_kl(0.51, 0.2))]
    found = choose(comparison(rows, [Pair(job_id="large", other_job_id="small", difference=paired(0.2, 2))]))
    assert found and found.pick is None


def test_a_row_that_is_beaten_is_not_picked_by_its_kl() -> None:
    rows = [
        row("a", 0.60, 3, divergence=with_kl(0.3)),
        row("b", 0.60, 2, divergence=with_kl(0.5, 0.01)),
        row("c", 0.40, 1, divergence=with_kl(0.1)),
    ]
    pairs = [
        Pair(job_id="a", other_job_id="b", difference=paired(0.1, 2)),
        Pair(job_id="a", other_job_id="c", difference=paired(20, 2)),
        Pair(job_id="b", other_job_id="c", difference=paired(20, 2)),
    ]
    found = choose(comparison(rows, pairs))
    assert found and found.pick and found.pick.job_id == "a"
    assert [each.job_id for each in found.worse_than(found.pick)] == ["c"]


def test_the_only_row_is_the_pick() -> None:
    found = choose(comparison([row("a", 0.6, 1)], []))
    assert found and found.pick and found.pick.job_id == "a" and found.questions_needed is None


def test_all_worse_means_by_more_than_the_margin() -> None:
    rows = [row("a", 0.5, 1, versus_bf16=paired(-5, 1)), row("b", 0.5, 2, versus_bf16=paired(-8, 1))]
    assert (found := choose(comparison(rows, []))) and found.all_worse
    slight = [rows[0].model_copy(update={"versus_bf16": paired(-2, 0.6)}), rows[1]]
    assert (found := choose(comparison(slight, []))) and not found.all_worse


def test_each_budget_has_its_own_pick_at_a_stricter_level(home: Path) -> None:
    study = finished_study(home, Study(limit=100, avg_bits=(5.0, 6.0)))
    found = choose_by_budget(read_comparison(Store(home), (study.id,)))
    assert [bits for bits, _ in found] == [5.0, 6.0]
    for bits, choice in found:
        assert {each.avg_bits for each in choice.rows} == {bits}
        assert choice.families == 2
        assert choice.pick and choice.pick.recipe == "mixed"


def test_only_questions_of_rows_that_are_compared_are_counted(home: Path) -> None:
    first = finished_study(home, Study(limit=50, tasks=("piqa",)))
    second = finished_study(home, Study(limit=100, tasks=("piqa", "hellaswag", "winogrande")))
    found = choose(read_comparison(Store(home), (first.id, second.id)))
    assert found and found.questions == 50
