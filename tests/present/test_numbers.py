"""How numbers are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompare.present import numbers


def test_cell_reads_like_the_published_tables() -> None:
    assert numbers.score_with_percent(0.66264, 93.64) == "0.6626 (93.6%)"
    assert numbers.score_with_percent(0.7076, 100.0) == "0.7076 (100%)"


def test_what_is_missing_is_a_dash_not_a_zero() -> None:
    assert numbers.score(None) == numbers.percent(None) == numbers.size(None) == numbers.bits(None) == "–"
    assert numbers.score_with_error(None, 0.1) == "–"


def test_score_without_percent_stands_alone() -> None:
    assert numbers.score_with_percent(0.5, None) == "0.5000"


@pytest.mark.parametrize(
    ("share", "text"), [(-0.0219, "−2.2"), (0.004, "+0.4"), (0.0, "0.0"), (-0.0004, "0.0"), (-1.0, "−100.0")]
)
def test_points_bear_a_sign_unless_they_round_to_zero(share: float, text: str) -> None:
    assert numbers.points(share) == text


@given(st.integers(min_value=0, max_value=10**18))
def test_sizes_have_at_most_four_figures(num_bytes: int) -> None:
    digits, unit = numbers.size(num_bytes).split(" ")
    assert unit in {"B", "kB", "MB", "GB", "TB"}
    assert "e" not in digits
    assert unit == "TB" or len(digits.replace(".", "")) <= 3


@pytest.mark.parametrize(("seconds", "text"), [(7, "0:07"), (750, "12:30"), (3723, "1:02:03"), (None, "–")])
def test_clock(seconds: float | None, text: str) -> None:
    assert numbers.clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "about 10 s"), (37, "about 40 s"), (59, "about 1 min"), (360, "about 6 min"), (9000, "about 2.5 h")],
)
def test_estimates_are_no_more_exact_than_they_are(seconds: float, text: str) -> None:
    assert numbers.about(seconds) == text


def test_bits_of_the_original_are_whole() -> None:
    assert (numbers.bits(16.0), numbers.bits(4.993)) == ("16", "4.99")
