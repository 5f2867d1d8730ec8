"""Sentences that claim no more than the statistics allow."""

from pathlib import Path

import pytest

from qcompare.compare.statistics import PairedDifference
from qcompare.compare.table import Comparison, Row, read_comparison
from qcompare.present.verdict import Verdict, verdict
from qcompare.store import Store
from qcompare.study.records import Status
from qcompare.study.spec import Study
from tests.synthetic import add_study, fail_job, finish_job, finished_study


def read(home: Path) -> Comparison:
    store = Store(home)
    return read_comparison(store, (store.studies()[0].id,))


def gettext(home: Path) -> Verdict:
    return verdict(read(home))


def paired(points: float, half: float, p_holm: float) -> PairedDifference:
    share = points / 100
    return PairedDifference(
        difference=share, low=share - half / 100, high=share + half / 100, level=0.95, p=p_holm / 2, p_holm=p_holm,
        percent=100 + points, percent_low=100 + points - half, percent_high=100 + points + half,
        questions=400, lost=20, gained=10, tasks=(),
    )  # fmt: skip


def measured(home: Path, scores: dict[str, tuple[float, PairedDifference | None]], p_of_pairs: float) -> Comparison:
    """A comparison of given scores, with every pair at one p."""
    finished_study(home, Study(recipes=tuple(scores)))
    found = read(home)
    rows: list[Row] = []
    for row in found.rows:
        average, versus = scores[row.recipe]
        percent = 100 * average / scores["bf16"][0]
        update = {"average": average, "percent_of_bf16": percent, "versus_bf16": versus, "divergence": None}
        rows.append(row.model_copy(update=update))
    averages = {row.job_id: row.average or 0 for row in rows}
    pairs = [
        pair.model_copy(
            update={"difference": paired(100 * (averages[pair.job_id] - averages[pair.other_job_id]), 4, p_of_pairs)}
        )
        for pair in found.pairs
    ]
    return found.model_copy(update={"rows": tuple(rows), "pairs": tuple(pairs)})


def test_a_significant_winner_is_said_to_be_better_than_the_others(home: Path) -> None:
    finished_study(home, Study(limit=100))
    said = gettext(home).plain
    assert said.claim == (
        "At 5 bits the mixed recipe keeps about 93 of 100 correct answers; "
        "it is significantly better than the tail high, head high and uniform recipes."
    )
    assert said.details[0].startswith("It gives ")


def test_the_expert_reads_intervals_and_corrections(home: Path) -> None:
    finished_study(home, Study(limit=100))
    said = gettext(home).expert
    assert said.claim == gettext(home).plain.claim
    assert said.details[0].startswith("Mixed: 93.0% of BF16 [")
    assert "p < 0.001" in said.details[0] and "Holm over 4" in said.details[0]
    assert "Holm over 6 pairs" in said.details[1]


def test_recipes_that_so_few_questions_cannot_tell_apart_are_not_ranked(home: Path) -> None:
    finished_study(home, Study(limit=3, tasks=("piqa",), recipes=("bf16", "tail", "mixed")))
    for said in (gettext(home).plain, gettext(home).expert):
        assert said.claim.startswith("3 questions cannot tell the ")
        assert "better" not in said.text


def test_without_a_significant_loss_no_share_is_claimed(home: Path) -> None:
    found = measured(home, {"bf16": (0.6, None), "uniform": (0.5, paired(-10, 4, 0.001)),
                            "mixed": (0.59, paired(-1, 4, 0.8))}, p_of_pairs=0.001)  # fmt: skip
    assert verdict(found).plain.claim == (
        "At 5 bits 100 questions cannot tell the mixed recipe from BF16; "
        "it is significantly better than the uniform recipe."
    )


def test_uniform_winning_is_said(home: Path) -> None:
    found = measured(home, {"bf16": (0.6, None), "uniform": (0.55, paired(-5, 3, 0.01)),
                            "mixed": (0.5, paired(-10, 4, 0.001))}, p_of_pairs=0.01)  # fmt: skip
    said = verdict(found).plain
    assert said.claim.startswith("The uniform recipe keeps about 92 of 100")
    assert "No gain from the other recipes’ extra bits is shown" in said.text


def test_a_simple_rule_that_wins_is_said(home: Path) -> None:
    found = measured(home, {"bf16": (0.6, None), "head": (0.55, paired(-5, 3, 0.01)),
                            "mixed": (0.5, paired(-10, 4, 0.001))}, p_of_pairs=0.01)  # fmt: skip
    assert "a simple rule does better" in verdict(found).plain.text


def test_how_many_questions_would_settle_it_is_said(home: Path) -> None:
    found = measured(home, {"bf16": (0.6, None), "tail": (0.53, paired(-7, 3, 0.01)),
                            "mixed": (0.55, paired(-5, 3, 0.01))}, p_of_pairs=0.3)  # fmt: skip
    assert verdict(found).plain.claim == (
        "100 questions cannot tell the mixed and tail high recipes apart; about 900 questions would."
    )


def test_more_questions_are_not_asked_for_where_they_would_hardly_help(home: Path) -> None:
    found = measured(home, {"bf16": (0.6, None), "tail": (0.5499, paired(-5, 3, 0.01)),
                            "mixed": (0.55, paired(-5, 3, 0.01))}, p_of_pairs=0.9)  # fmt: skip
    said = verdict(found).plain
    assert said.claim == "100 questions cannot tell the mixed and tail high recipes apart."
    assert "More questions are unlikely to separate" in said.text


@pytest.mark.parametrize("wording", ["plain", "expert"])
def test_there_are_never_more_than_three_sentences_below_the_claim(home: Path, wording: str) -> None:
    finished_study(home, Study(limit=4))
    assert len(getattr(gettext(home), wording).details) <= 3


def test_an_unfinished_study_says_so(home: Path) -> None:
    store = Store(home)
    study = add_study(store)
    bf16, uniform, *_ = store.jobs(study.id)
    assert gettext(home).plain.claim == "No recipe is finished yet."
    finish_job(store, study, bf16.id)
    assert gettext(home).plain.claim == "BF16 is measured; the others are still to come."
    finish_job(store, study, uniform.id)
    assert gettext(home).plain.claim.startswith("So far, ")


def test_without_bf16_no_share_is_claimed(home: Path) -> None:
    finished_study(home, Study(recipes=("uniform", "mixed"), limit=100))
    said = gettext(home).plain
    assert said.claim.startswith("At 5 bits the mixed recipe has the best score; it is significantly better")
    assert said.details[0].startswith("Without BF16")


def test_a_failed_bf16_is_named_as_the_reason(home: Path) -> None:
    store = Store(home)
    study = add_study(store, Study(recipes=("bf16", "uniform", "mixed")))
    bf16, *others = store.jobs(study.id)
    fail_job(store, bf16.id, "out of memory")
    for job in others:
        finish_job(store, study, job.id)
    assert store.study(study.id).status is Status.FAILED
    assert "(it failed)" in gettext(home).plain.details[0]


def test_a_study_of_prompts_alone_asks_to_look_at_the_answers(home: Path) -> None:
    finished_study(home, Study(tasks=()))
    assert "no benchmark questions" in gettext(home).plain.claim


def test_several_budgets_are_named_with_the_recipe(home: Path) -> None:
    finished_study(home, Study(avg_bits=(5.0, 6.0), recipes=("bf16", "uniform", "mixed"), limit=100))
    assert "mixed recipe at " in gettext(home).plain.text


def with_divergences(found: Comparison, **changes: object) -> Comparison:
    rows = [
        row.model_copy(update={"divergence": row.divergence.model_copy(update=changes)})
        for row in found.rows
        if row.divergence
    ]
    return found.model_copy(update={"rows": tuple(rows)})


def test_the_recipe_whose_predictions_are_closest_is_named_unless_within_the_error(home: Path) -> None:
    finished_study(home, Study(limit=100))
    said = "Word by word, the mixed recipe predicts most like BF16 (KL 0.730, next the tail high recipe with 0.980)."
    assert said in verdict(read(home)).plain.details
    older = with_divergences(read(home), passages=(), kl_stderr=0.05)
    assert said.replace(").", "; compared unpaired).") in verdict(older).plain.details
    assert "Word by word" not in verdict(with_divergences(older, kl_stderr=0.2)).plain.text
