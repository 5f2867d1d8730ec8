"""Paired statistics: right value, honest interval, no false alarms, refusal of unequal questions."""

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcompare.compare.answers import Answers, read_answers
from qcompare.compare.chance import holm, holm_levels, mcnemar
from qcompare.compare.resampling import Counts, averages, resample
from qcompare.compare.resolution import detectable_difference, questions_needed, rounded_up
from qcompare.compare.statistics import PairedDifference, paired_difference, paired_differences
from qcompare.errors import QCompareError

Cells = tuple[float, float, float, float]
"""Probabilities: right in both, lost, gained, wrong in both."""


def answers(prompts: str = "", **tasks: list[int]) -> Answers:
    rows = [(task, doc_id, float(acc)) for task, accs in tasks.items() for doc_id, acc in enumerate(accs)]
    frame = pd.DataFrame(rows, columns=["task", "doc_id", "acc"]).set_index(["task", "doc_id"])
    return Answers(frame["acc"].sort_index(), prompts)


def counted(random: np.random.Generator, sizes: dict[str, int], cells: Cells) -> dict[str, Counts]:
    """Two recipes on made-up questions, of known truth."""
    found: dict[str, Counts] = {}
    for task, size in sizes.items():
        both, lost, gained, neither = (int(count) for count in random.multinomial(size, cells))
        found[task] = both, lost, gained, neither
    return found


def drawn(random: np.random.Generator, sizes: dict[str, int], cells: Cells) -> PairedDifference:
    """The two compared."""
    return paired_differences({"": counted(random, sizes, cells)})[""]


def test_difference_is_the_mean_over_tasks_of_the_means() -> None:
    ours, theirs = answers(a=[1, 1, 1, 1], b=[0, 0]), answers(a=[1, 1, 1, 0], b=[1, 0])
    found = paired_difference(ours, theirs, ["a", "b"])
    assert found.difference == pytest.approx((0.25 - 0.5) / 2)
    assert found.percent == pytest.approx(100 * (1.0 + 0.0) / (0.75 + 0.5))
    assert (found.gained, found.lost, found.questions) == (1, 1, 6)


def test_every_task_says_what_was_lost_and_gained() -> None:
    ours, theirs = answers(a=[1, 1, 0, 0], b=[0, 0]), answers(a=[1, 0, 1, 1], b=[1, 0])
    a, b = paired_difference(ours, theirs, ["a", "b"]).tasks
    assert (a.task, a.both, a.lost, a.gained, a.questions, a.difference) == ("a", 1, 2, 1, 4, -0.25)
    assert (b.lost, b.gained, b.p) == (1, 0, 1.0)


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


def test_a_recipe_that_knows_nothing_has_no_share_to_be_measured_against() -> None:
    found = paired_difference(answers(a=[1, 0]), answers(a=[0, 0]), ["a"])
    assert (found.percent, found.percent_low, found.percent_high) == (None, None, None)


def test_a_handful_of_lost_answers_is_not_called_significant() -> None:
    found = paired_difference(answers(a=[0] * 4 + [1] * 96), answers(a=[1] * 100), ["a"])
    assert found.tasks[0].p == pytest.approx(0.125)
    assert not found.is_significant


def test_a_large_loss_is_called_significant() -> None:
    found = paired_difference(answers(a=[0] * 30 + [1] * 70), answers(a=[1] * 100), ["a"])
    assert found.is_significant
    assert found.high < 0
    assert found.p < 0.001


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_swapping_the_two_turns_the_sign(pairs: list[tuple[int, int]]) -> None:
    ours, theirs = answers(a=[a for a, _ in pairs]), answers(a=[b for _, b in pairs])
    there, back = paired_difference(ours, theirs, ["a"]), paired_difference(theirs, ours, ["a"])
    assert there.difference == pytest.approx(-back.difference)
    assert (there.lost, there.gained) == (back.gained, back.lost)
    assert -1 <= there.low <= there.high <= 1
    assert there.turned().difference == pytest.approx(back.difference)


SIZES = {"a": 100, "b": 100, "c": 60, "d": 150}
TRUTHS: dict[str, Cells] = {
    "no difference": (0.40, 0.10, 0.10, 0.40),
    "a small loss": (0.40, 0.12, 0.07, 0.41),
    "a large loss": (0.30, 0.30, 0.05, 0.35),
}
STUDIES = 300


@pytest.mark.parametrize("cells", TRUTHS.values(), ids=TRUTHS)
def test_intervals_hold_the_truth_as_often_as_they_say(cells: Cells) -> None:
    truth, share = cells[2] - cells[1], 100 * (cells[0] + cells[2]) / (cells[0] + cells[1])
    random, held, share_held = np.random.default_rng(7), 0, 0
    for _ in range(STUDIES):
        found = drawn(random, SIZES, cells)
        held += found.low <= truth <= found.high
        share_held += (found.percent_low or 0) <= share <= (found.percent_high or 0)
    assert 0.93 <= held / STUDIES <= 0.97
    assert 0.93 <= share_held / STUDIES <= 0.97


def test_studies_of_equal_recipes_rarely_call_any_difference_significant() -> None:
    """Four recipes that are no better or worse than BF16: one called significant is a false alarm of the study."""
    random, alarms, cell_alarms = np.random.default_rng(11), 0, 0
    for _ in range(STUDIES // 2):
        table = {n: counted(random, SIZES, TRUTHS["no difference"]) for n in range(4)}
        found = paired_differences(table).values()
        alarms += any(paired.is_significant for paired in found)
        cell_alarms += any(each.is_significant for paired in found for each in paired.tasks)
    assert alarms / (STUDIES // 2) <= 0.06
    assert cell_alarms / (STUDIES // 2) <= 0.06


def test_an_interval_leaves_zero_out_just_where_the_difference_is_called_significant() -> None:
    """And is never narrower than that of the recipe alone, so it holds at least as often."""
    random, seen = np.random.default_rng(5), set()
    truths = [*TRUTHS.values(), (0.40, 0.11, 0.09, 0.40)]
    for _ in range(60):
        table = {n: counted(random, SIZES, cells) for n, cells in enumerate(truths)}
        for name, paired in paired_differences(table).items():
            alone = paired_differences({name: table[name]})[name]
            zero_outside = not paired.low <= 0 <= paired.high
            assert zero_outside is paired.is_significant
            assert (not (paired.percent_low or 0) <= 100 <= (paired.percent_high or 0)) is paired.is_significant
            assert paired.low <= alone.low and alone.high <= paired.high
            seen.add((alone.is_significant, paired.is_significant))
    assert seen == {(True, True), (True, False), (False, False)}


def test_the_tables_intervals_hold_together_where_nothing_differs() -> None:
    """Four equal recipes: no interval of a study misses the truth in 95 of 100 studies, though each alone would."""
    random, held, alone, sizes = np.random.default_rng(13), 0, 0, {"a": 200, "b": 150}
    for _ in range(STUDIES):
        table = {n: counted(random, sizes, TRUTHS["no difference"]) for n in range(4)}
        held += all(paired.low <= 0 <= paired.high for paired in paired_differences(table).values())
        each = [paired_differences({n: count})[n] for n, count in table.items()]
        alone += all(paired.low <= 0 <= paired.high for paired in each)
    assert 0.93 <= held / STUDIES <= 0.97
    assert alone / STUDIES < 0.87


MANY = 300
"""Comparisons of one table: more than 2 / 0.05 × resamples could ever tell from chance one by one."""


def test_among_many_comparisons_a_large_loss_is_still_significant() -> None:
    table = {n: {"a": (40, 10, 10, 40)} for n in range(MANY)} | {-1: {"a": (10, 60, 2, 28)}}
    found = paired_differences(table)
    assert found[-1].is_significant
    assert found[-1].high < 0
    assert found[-1].percent_high is not None and found[-1].percent_high < 100
    assert not any(found[n].is_significant for n in range(MANY))


def test_a_thousand_large_losses_are_all_significant() -> None:
    random = np.random.default_rng(17)
    table = {n: counted(random, SIZES, TRUTHS["a large loss"]) for n in range(60)}
    repeated = {(n, again): counts for n, counts in table.items() for again in range(20)}
    assert all(paired.is_significant and paired.high < 0 for paired in paired_differences(repeated).values())


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.tuples(*[st.integers(0, 60)] * 4).filter(any), min_size=1, max_size=3),
    alpha=st.floats(1e-12, 0.05),
)
def test_at_every_level_both_intervals_leave_zero_out_just_where_p_is_below(
    counts: list[Counts], alpha: float
) -> None:
    draws = resample(tuple(counts))
    if abs(draws.p - alpha) < 1e-3 * alpha:
        return  # floats on the edge itself
    (low, high), (ratio_low, ratio_high) = draws.interval(1 - alpha), draws.ratio_interval(1 - alpha)
    assert (not low <= 0 <= high) is (draws.p < alpha)
    if averages(counts)[1] > 0.05:
        assert (not ratio_low <= 1 <= ratio_high) is (draws.p < alpha)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 60)] * 4).filter(any), min_size=1, max_size=3))
def test_a_higher_level_never_narrows_an_interval(counts: list[Counts]) -> None:
    draws = resample(tuple(counts))
    ends = [draws.interval(1 - alpha) for alpha in (0.05, 0.01, 0.0051, 0.0049, 0.001, 1e-4, 1e-6, 1e-9)]
    assert all(low >= wider_low and high <= wider_high for (low, high), (wider_low, wider_high) in pairwise(ends))


def exact_tail(counts: Counts) -> float:
    """Two-sided p of drawing the questions of one task again, without drawing: its exact distribution."""
    weights = np.array(counts) + 1.0
    both, lost, gained, neither = weights / weights.sum()
    one = np.array([lost, both + neither, gained])  # of -1, 0, 1
    total = np.array([1.0])
    for _ in range(sum(counts)):
        total = np.convolve(total, one)
    centre = sum(counts)
    return float(2 * min(total[: centre + 1].sum(), total[centre:].sum()))


@pytest.mark.parametrize("counts", [(60, 24, 2, 14), (150, 30, 4, 116), (30, 40, 5, 25), (300, 90, 40, 270)])
def test_beyond_the_resamples_p_is_that_of_the_exact_distribution_in_magnitude(counts: Counts) -> None:
    exact, found = exact_tail(counts), resample((counts,)).p
    assert exact < 2e-4, "or the resamples alone would tell"
    assert abs(np.log(found) - np.log(exact)) < 0.3 * abs(np.log(exact))


def test_p_is_never_zero() -> None:
    assert 0 < resample(((100_000, 100_000, 0, 100_000),)).p < 1e-200


def test_mcnemar_is_the_exact_binomial() -> None:
    from scipy.stats import binomtest

    for lost, gained in [(3, 9), (0, 6), (1, 1), (40, 25)]:
        assert mcnemar(lost, gained) == pytest.approx(min(1.0, binomtest(lost, lost + gained).pvalue))
    assert mcnemar(0, 0) == 1.0


def test_holm_multiplies_the_smallest_by_their_number() -> None:
    assert holm({"x": 0.01, "y": 0.04, "z": 0.03}) == pytest.approx({"x": 0.03, "y": 0.06, "z": 0.06})
    assert holm({}) == {}


@given(st.dictionaries(st.integers(), st.floats(0, 1), max_size=12))
def test_holm_levels_reject_the_same_as_holm(values: dict[int, float]) -> None:
    levels, corrected = holm_levels(values), holm(values)
    decided = [name for name in values if abs(corrected[name] - 0.05) > 1e-9]  # no floats on the edge itself
    assert all((values[name] < 1 - levels[name]) is (corrected[name] < 0.05) for name in decided)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_holm_agrees_with_statsmodels(values: list[float]) -> None:
    from statsmodels.stats.multitest import multipletests

    assert list(holm(dict(enumerate(values))).values()) == pytest.approx(
        sorted(multipletests(values, method="holm")[1]), abs=1e-12
    )


def test_as_many_questions_as_are_called_for_show_the_difference_four_times_in_five() -> None:
    cells: Cells = (0.40, 0.13, 0.09, 0.38)
    random = np.random.default_rng(3)
    first = drawn(random, {"a": 200, "b": 200}, cells)
    times = questions_needed(first.model_copy(update={"difference": -0.04}))
    assert times is not None
    sizes = {"a": round(200 * times), "b": round(200 * times)}
    shown = sum(drawn(random, sizes, cells).is_significant for _ in range(60))
    assert 0.65 <= shown / 60 <= 0.95


def test_a_wider_interval_asks_for_no_more_questions() -> None:
    """What Holm's rule adds to an interval says nothing about how much the questions resolve."""
    table = {n: counted(np.random.default_rng(n), {"a": 400}, (0.40, 0.11, 0.09, 0.40)) for n in range(6)}
    alone, among = paired_differences({0: table[0]})[0], paired_differences(table)[0]
    assert among.level > alone.level
    assert questions_needed(among) == pytest.approx(questions_needed(alone), rel=0.1)


def test_no_number_of_questions_is_named_for_a_difference_of_nothing() -> None:
    same = answers(a=[1, 0] * 12)
    assert questions_needed(paired_difference(same, same, ["a"])) is None


def test_numbers_of_questions_are_rounded_up_to_what_is_known_of_them() -> None:
    assert [rounded_up(number) for number in (7.2, 812.0, 900.0, 1130.0)] == [8, 900, 900, 2000]


def test_different_questions_are_refused_with_the_count() -> None:
    with pytest.raises(QCompareError, match="1 shared of 2 and 1"):
        paired_difference(answers(a=[1, 0]), answers(a=[1]), ["a"])


def test_the_same_questions_put_differently_are_refused() -> None:
    with pytest.raises(QCompareError, match="put differently"):
        paired_difference(answers("zero-shot", a=[1, 0]), answers("five-shot", a=[1, 0]), ["a"])


def test_no_questions_are_refused() -> None:
    with pytest.raises(QCompareError, match="no questions"):
        paired_difference(answers(), answers(), [])


def samples(**changes: object) -> pd.DataFrame:
    values: dict[str, object] = {"task": ["a", "a"], "doc_id": [1, 0], "prompt_hash": ["x", "y"], "acc": [1.0, 0.0]}
    return pd.DataFrame(values | changes)


def saved(folder: Path, frame: pd.DataFrame) -> Path:
    file = folder / "the-job" / "result" / "samples.parquet"
    file.parent.mkdir(parents=True)
    frame.to_parquet(file)
    return file


def test_answers_are_read_from_a_file(tmp_path: Path) -> None:
    assert list(read_answers(saved(tmp_path, samples(other=["x", "y"]))).right) == [0.0, 1.0]


def test_how_questions_were_put_is_part_of_the_answers(tmp_path: Path) -> None:
    one = read_answers(saved(tmp_path / "one", samples()))
    other = read_answers(saved(tmp_path / "other", samples(prompt_hash=["x", "z"])))
    assert one.prompts != other.prompts


@pytest.mark.parametrize("content", [None, b"", b"PAR1 not really", random.Random(0).randbytes(1000)])
def test_unreadable_answers_are_one_line(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "the-job" / "result" / "samples.parquet"
    file.parent.mkdir(parents=True)
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(QCompareError, match="the-job"):
        read_answers(file)


def test_answers_that_are_not_right_or_wrong_are_refused(tmp_path: Path) -> None:
    with pytest.raises(QCompareError, match="one right or wrong"):
        read_answers(saved(tmp_path, samples(acc=[float("nan"), 1.0])))


def test_more_questions_show_smaller_differences() -> None:
    four = ["lambada_openai", "hellaswag", "piqa", "winogrande"]
    assert detectable_difference(four, 100) == pytest.approx(0.044, abs=0.001)
    assert detectable_difference([*four, "mmlu"], None) == pytest.approx(0.007, abs=0.001)
    assert detectable_difference([], 100) == 1.0
