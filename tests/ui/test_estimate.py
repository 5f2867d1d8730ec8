"""What the bar and the cards of New say of a study before it runs."""

import re
from dataclasses import replace

from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.ui.new.estimate import estimate
from qcompare.ui.new.tab import shown
from tests.plan.test_preflight import SECONDS, finished, spec
from tests.ui.test_form import DEFAULT


def test_a_ready_size_names_the_same_time_as_the_bar_below_the_cards(settings: Settings) -> None:
    found = estimate(DEFAULT, settings)
    assert found.plan and found.sizes[0].seconds == found.plan.seconds.likely
    finished(Store(settings.home), spec(25), SECONDS | {"quantizing layers": 8.0})
    quick, standard, full = estimate(replace(DEFAULT, recipes=["bf16", "uniform"]), settings).sizes
    assert quick.seconds and standard.seconds and quick.seconds < standard.seconds
    assert full.seconds and full.seconds > standard.seconds


def test_a_size_says_what_it_can_show_and_how_long_it_takes(settings: Settings) -> None:
    sizes = shown(estimate(DEFAULT, settings))[3]["choices"]
    assert re.fullmatch(r"Quick · about .*\n25 questions per task, shows gaps over 9 points", sizes[0][0])


def test_the_facts_say_whether_the_model_fits(settings: Settings) -> None:
    facts = shown(estimate(DEFAULT, settings))[0]
    assert "on a 4-bit grid" in facts
    assert "Fits here" in facts and "GB of" in facts
