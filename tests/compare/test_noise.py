"""What is numerical: how wide the band is, and that no claim rests on a difference inside it."""

from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from qcompare.compare.choice import Choice, choose
from qcompare.compare.differences import Pair
from qcompare.compare.noise import (
    error_floor,
    flip_variance,
    half_width,
    is_numerical,
    kl_half_width,
    kl_moves,
    shift,
    shift_between,
)
from qcompare.compare.resolution import standard_error
from qcompare.compare.statistics import paired_differences
from qcompare.compare.table import Row, read_comparison
from qcompare.store import Store
from qcompare.study.noise import NoiseFloor
from qcompare.study.result import Divergence, PassageKL, TaskScore
from tests.compare.test_choice import comparison, counted, row
from tests.synthetic import finished_study


def noise(lost: int = 0, gained: int = 0, questions: int = 48, **changes: float) -> NoiseFloor:
    return NoiseFloor(
        dtype="float32", other_dtype="bfloat16", questions=questions, changed=lost + gained, lost=lost,
        gained=gained, **changes,
    )  # fmt: skip


def scored(name: str, average: float, size: int, found: NoiseFloor | None, n: int = 1000) -> Row:
    task = TaskScore(task="piqa", metric="acc", value=average, stderr=0.01, n=n, version="1", num_fewshot=0, data="x")
    return row(name, average, size, noise=found, tasks=(task,))


def test_the_band_holds_the_score_of_another_computation() -> None:
    """Answers that flip at random: the average of a second computation lies inside 95 times in 100."""
    random = np.random.default_rng(0)
    flips, questions, inside = 0.2, 1000, []
    for _ in range(2000):
        sample = random.random(48)  # of the sample, half of the flips lose
        lost, gained = int((sample < flips / 2).sum()), int(((sample >= flips / 2) & (sample < flips)).sum())
        change = (random.random(questions) < flips) * random.choice([-1, 1], questions)
        band = half_width(scored("r", 0.5, 1, noise(lost, gained), questions))
        assert band
        inside.append(abs(change.mean()) <= band)
    assert 0.92 <= np.mean(inside) <= 0.98


def test_the_paired_bootstrap_holds_random_flips_already() -> None:
    """Two rows that are the same but for how they were computed: the questions' error is the floor, not less."""
    random = np.random.default_rng(1)
    likely = random.random(4000)  # of the right answer, over computations
    ours, theirs = ((random.random(4000) < likely).astype(np.int64) for _ in range(2))
    flips = float((ours != theirs).mean())
    found = paired_differences({"x": {"piqa": counted(ours, theirs)}})["x"]
    half = round(24 * flips)
    rows = [scored(name, 0.5, 1, noise(half, half), 4000) for name in "ab"]
    assert standard_error(found) == pytest.approx(error_floor(*rows), rel=0.1)


def test_no_flips_in_a_sample_are_not_none_ever() -> None:
    assert 0 < flip_variance(scored("r", 0.5, 1, noise())) < flip_variance(scored("r", 0.5, 1, noise(1, 1)))
    assert half_width(scored("r", 0.5, 1, noise())) == pytest.approx(1.96 * sqrt(0.5 / 49 / 1000))


def test_tasks_weigh_alike_in_the_band() -> None:
    one = scored("r", 0.5, 1, noise(2, 2), 400)
    four = one.model_copy(update={"tasks": one.tasks * 4})
    assert flip_variance(four) == pytest.approx(flip_variance(one) / 4)


@pytest.mark.parametrize(
    ("lost", "gained", "moved"), [(5, 5, 0.0), (4, 0, 0.0), (8, 1, 0.0), (9, 0, -9 / 48), (1, 12, 11 / 48)]
)
def test_a_shift_is_believed_where_chance_hardly_makes_it(lost: int, gained: int, moved: float) -> None:
    assert shift(scored("r", 0.5, 1, noise(lost, gained))) == pytest.approx(moved)


def test_rows_that_the_other_dtype_moves_alike_stay_as_far_apart() -> None:
    rows = [scored(name, 0.5, 1, noise(9, 0)) for name in "ab"]
    assert shift_between(*rows) == 0
    assert half_width(rows[0]) == pytest.approx(9 / 48 + 1.96 * sqrt(flip_variance(rows[0])))


@pytest.mark.parametrize("found", [None, noise(questions=0)])
def test_rows_without_a_sample_have_no_band(found: NoiseFloor | None) -> None:
    one = scored("r", 0.5, 1, found)
    assert (half_width(one), flip_variance(one), shift(one), kl_half_width(one)) == (None, 0, 0, None)
    assert not is_numerical(one, one, 0.0)


# what to ship


def two(ours: tuple[int, int, int, int], noises: tuple[NoiseFloor | None, NoiseFloor | None]) -> Choice:
    """A large row against a small one, by counts right in both, lost, gained, wrong in both."""
    n = sum(ours)
    difference = paired_differences({"x": {"piqa": ours}})["x"]
    rows = [scored("large", 0.5, 2, noises[0], n), scored("small", 0.5 - difference.difference, 1, noises[1], n)]
    found = choose(comparison(rows, [Pair(job_id="large", other_job_id="small", difference=difference)]))
    assert found
    return found


def test_a_difference_inside_the_noise_makes_no_row_better() -> None:
    counts = (500, 0, 8, 492)
    plain, noisy = two(counts, (None, None)), two(counts, (noise(6, 6), noise(6, 6)))
    large, small = plain.rows[1], plain.rows[0]
    assert plain.better_than(small) == (large,)
    assert noisy.better_than(noisy.rows[0]) == ()


def test_a_row_does_not_pass_by_agreement_that_computing_would_undo() -> None:
    counts = (500, 1, 1, 498)
    plain, noisy = two(counts, (None, None)), two(counts, (noise(8, 8), noise(8, 8)))
    assert plain.pick and plain.pick.job_id == "small"
    assert noisy.not_worse == ()
    assert noisy.questions_needed is None  # piqa does not hold as many


def test_a_difference_far_beyond_the_noise_counts_as_before() -> None:
    counts = (500, 10, 110, 380)
    found = two(counts, (noise(2, 2), noise(2, 2)))
    assert found.pick and found.pick.job_id == "large"
    assert found.better_than(found.rows[0]) == (found.pick,)


def test_a_shift_of_one_row_only_widens_the_test_by_all_of_it() -> None:
    counts = (5000, 10, 10, 4980)
    plain, moved = two(counts, (None, None)), two(counts, (noise(0, 0), noise(9, 0)))
    assert moved.margin_of(moved.rows[0]) >= plain.margin_of(plain.rows[0]) + 9 / 48
    assert moved.questions_needed is None


@pytest.mark.parametrize("shifts", [(0.0, 0.05), (0.0, 0.4)])
def test_the_closest_row_is_closest_in_both_dtypes(shifts: tuple[float, float]) -> None:
    def kl(mean: float) -> Divergence:
        passages = tuple(PassageKL(tokens=10, kl=mean + x / 100) for x in range(8))
        return Divergence(
            kl=mean + 0.035, kl_stderr=0.01, top1_agreement=0.5, perplexity=9.0, reference_perplexity=8.0, tokens=80,
            text="x", passages=passages,
        )  # fmt: skip

    rows = [
        scored("near", 0.5, 2, noise(kl_shift=shifts[1])).model_copy(update={"divergence": kl(0.5)}),
        scored("far", 0.5, 1, noise(kl_shift=shifts[0])).model_copy(update={"divergence": kl(0.7)}),
    ]
    assert kl_moves(*rows) == pytest.approx(abs(shifts[1] - shifts[0]))
    difference = paired_differences({"x": {"piqa": (40, 10, 10, 40)}})["x"]
    found = choose(comparison(rows, [Pair(job_id="near", other_job_id="far", difference=difference)]))
    assert found and (found.closest is not None) is (shifts[1] < 0.2)


def test_results_without_noise_are_read_as_before(home: Path) -> None:
    study = finished_study(home)
    assert all(each.noise is None for each in read_comparison(Store(home), (study.id,)).rows)
