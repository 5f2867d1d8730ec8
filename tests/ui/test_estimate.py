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
    assert found.plan and found.sizes[1].seconds == found.plan.seconds.likely
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


def test_the_chart_of_budgets_names_the_sizes_that_the_plan_computes(settings: Settings) -> None:
    found = estimate(replace(DEFAULT, budget=4.0, recipes=["bf16", "uniform"]), settings)
    assert found.plan and found.sizes_reached
    uniform = next(job for job in found.plan.jobs if job.recipe.name == "uniform")
    assert found.sizes_reached.mark(4.0).size_bytes == uniform.size_bytes
    assert found.sizes_reached.mark(99).size_bytes == found.sizes_reached.sizes[1]
    chart = shown(found)[2]
    assert "At 4 bits the model takes 113 MB instead of 269 MB" in chart
    for budget in ("4.5", "5", "6"):
        assert f'text-anchor="middle">{budget}</text>' in chart


def test_a_budget_beyond_the_slider_is_a_sentence_not_a_server_error(settings: Settings) -> None:
    values = shown(estimate(replace(DEFAULT, budget=9.0), settings))
    assert any("choose from 4 to 8" in str(value) for value in values)
    assert values[-1]["interactive"] is False


def test_numerical_noise_is_asked_for_with_its_cost_named_and_counted(settings: Settings) -> None:
    plain, noisy = (estimate(replace(DEFAULT, noise_floor=asked), settings) for asked in (False, True))
    assert plain.plan and noisy.plan and plain.noise_seconds == noisy.noise_seconds
    assert noisy.plan.seconds.likely - plain.plan.seconds.likely == plain.noise_seconds
    assert plain.noise_seconds and plain.noise_seconds > 0
    assert re.search(r"Adds about \d+ (s|min)\.", shown(plain)[4]["info"])
    assert "noise_floor: true" in noisy.study_file
