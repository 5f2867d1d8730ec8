"""What the bar and the cards of New say of a study before it runs."""

from dataclasses import replace

from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.ui.new.estimate import estimate
from qcompare.ui.new.tab import shown
from tests.plan.test_preflight import SECONDS, finished, spec
from tests.ui.test_form import DEFAULT


def test_ready_sizes_have_a_time_only_where_their_tasks_were_timed_here(settings: Settings) -> None:
    assert [each.seconds for each in estimate(DEFAULT, settings).sizes] == [None] * 3
    finished(Store(settings.home), spec(25), SECONDS | {"quantizing layers": 8.0})
    quick, standard, full = estimate(replace(DEFAULT, recipes=["bf16", "uniform"]), settings).sizes
    assert quick.seconds and standard.seconds and quick.seconds < standard.seconds
    assert full.seconds is None  # mmlu never ran


def test_a_size_says_what_it_can_show_and_how_long_it_takes(settings: Settings) -> None:
    sizes = shown(estimate(DEFAULT, settings))[3]["choices"]
    assert sizes[0][0] == "Quick · time not known yet\n25 questions per task, shows gaps over 9 points"


def test_the_facts_say_whether_the_model_fits(settings: Settings) -> None:
    facts = shown(estimate(DEFAULT, settings))[0]
    assert "on a 4-bit grid" in facts
    assert "Fits here" in facts and "GB of" in facts
