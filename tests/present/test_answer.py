"""Sentences that claim no more than the statistics allow."""

from pathlib import Path

from qcompare.compare.statistics import PairedDifference
from qcompare.compare.table import Comparison, Row, read_comparison
from qcompare.present.answer import Answer, answer, answer_lines
from qcompare.present.numbers import MISSING
from qcompare.present.render import render
from qcompare.store import Store
from qcompare.study.records import Status
from qcompare.study.spec import Study
from tests.synthetic import add_study, fail_job, finish_job, finished_study


def read(home: Path) -> Comparison:
    store = Store(home)
    return read_comparison(store, (store.studies()[0].id,))


def said_of(home: Path) -> Answer:
    return answer(read(home))


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


def test_the_card_names_pick_size_loss_and_certainty(home: Path) -> None:
    finished_study(home, Study(limit=100))
    said = said_of(home).plain
    assert said.claim == ("Every smaller version is clearly worse than the original. If you ship one: Mixed, 5 bits.")
    assert said.details[0] == (
        "Mixed, 5 bits takes 126 MB instead of 269 MB (53 % smaller), and for every 100 questions the original gets "
        "right it gets 89 to 97 (sure to 95 %, 400 questions)."
    )
    assert said.details[1].startswith("Clearly better than Uniform, ") and said.details[1].endswith(
        "(400 questions)."
    )
    assert (
        said.details[2].startswith("What would change this: if a loss of ") and "Uniform (113 MB)" in said.details[2]
    )


def test_a_recipe_that_is_not_clearly_worse_than_the_original_is_to_be_shipped(home: Path) -> None:
    found = measured(home, {"bf16": (0.6, None), "uniform": (0.5, paired(-10, 4, 0.001)),
                            "mixed": (0.59, paired(-1, 2, 0.8))}, p_of_pairs=0.001)  # fmt: skip
    assert answer(found).plain.claim == "Ship this: Mixed, 5 bits."
    assert "97 to 101" in answer(found).plain.details[0]


def test_the_expert_reads_intervals_and_corrections(home: Path) -> None:
    finished_study(home, Study(limit=100))
    said = said_of(home).expert
    assert said.claim == said_of(home).plain.claim
    assert said.details[0].startswith("Mixed: 93.0% of BF16 [")
    assert "p < 0.001" in said.details[0] and "Holm-corrected over 4" in said.details[0]
    assert "Holm-corrected over 6 pairs" in said.details[1]
    assert "no other beats by 1 point: one-sided non-inferiority tests at 2.5 %" in said.details[-1]


def test_without_a_winner_the_closest_to_the_original_is_named_as_such(home: Path) -> None:
    finished_study(home, Study(limit=3, tasks=("piqa",), recipes=("bf16", "tail", "mixed")))
    said = said_of(home).plain
    assert said.claim == "No winner yet by accuracy. Closest to the original: Mixed, 5 bits."
    assert "3 questions are too few to say how much accuracy it keeps" in said.text
    assert "better" not in said.text and "%" not in said.text.replace("% smaller", "")


def without_kl(found: Comparison) -> Comparison:
    rows = [row.model_copy(update={"divergence": None}) for row in found.rows]
    return found.model_copy(update={"rows": tuple(rows)})


def test_no_winner_says_how_many_questions_would_settle_it(home: Path) -> None:
    found = measured(home, {"bf16": (0.6, None), "uniform": (0.585, paired(-1.5, 4, 0.5)),
                            "mixed": (0.59, paired(-1, 4, 0.8))}, p_of_pairs=0.5)  # fmt: skip
    said = answer(found).plain
    assert said.claim == "No winner yet."
    assert said.details == (
        "With 400 questions the gaps could be luck; about 6\u202f000 questions should settle it.",
        "Mixed, 5 bits scored highest: for every 100 the original gets right, it gets 95 to 103.",
        "Nothing here shows that the larger files beat Uniform, the smallest.",
    )


def test_gaps_that_are_clear_are_not_said_to_be_luck(home: Path) -> None:
    found = measured(home, {"bf16": (0.6, None), "uniform": (0.4, paired(-20, 4, 0.001)),
                            "tail": (0.585, paired(-1.5, 4, 0.5)), "mixed": (0.59, paired(-1, 4, 0.8))},
                     p_of_pairs=0.5)  # fmt: skip
    (uniform,) = (row.job_id for row in found.rows if row.recipe == "uniform")
    pairs = [
        pair.model_copy(update={"difference": pair.difference.model_copy(update={"p": 0.0001, "p_holm": 0.001})})
        if uniform in (pair.job_id, pair.other_job_id)
        else pair
        for pair in found.pairs
    ]
    said = answer(found.model_copy(update={"pairs": tuple(pairs)})).plain
    assert said.claim == "No winner yet."
    assert said.details[0].startswith(
        "Mixed, 5 bits is clearly better than Uniform (400 questions); its gaps to the rest could be luck, and about "
    )


def test_more_questions_than_there_are_are_not_promised_to_settle_it(home: Path) -> None:
    found = measured(home, {"bf16": (0.6, None), "tail": (0.5899, paired(-1, 4, 0.8)),
                            "mixed": (0.59, paired(-1, 4, 0.8))}, p_of_pairs=0.9)  # fmt: skip
    strict = found.model_copy(update={"study": found.study.model_copy(update={"margin": 0.1})})
    assert "all 18\u202f300 questions of these tasks would hardly settle it" in answer(strict).plain.text


def test_equal_recipes_are_said_to_perform_the_same(home: Path) -> None:
    finished_study(home, Study(limit=100, margin=30.0))
    said = said_of(home).plain
    assert said.claim == "Ship this: Uniform."
    assert "They perform the same; take the smaller (400 questions show no difference of 30 points)." in said.details


def test_several_budgets_get_one_sentence_and_a_table(home: Path) -> None:
    finished_study(home, Study(avg_bits=(4.5, 6.0), limit=100))
    found = said_of(home)
    assert [(each.bits, each.recipe) for each in found.budgets] == [
        ("4.5", "Mixed · 4.5 bits"),
        ("6", "Mixed · 6 bits"),
    ]
    assert all(each.basis == "as accurate as any other (400 questions)" for each in found.budgets)
    assert all(" to " in each.kept for each in found.budgets)
    assert "Clearly better than" not in found.plain.text
    assert len(found.plain.details) <= 3


def test_an_unfinished_study_says_so(home: Path) -> None:
    store = Store(home)
    study = add_study(store)
    bf16, uniform, *_ = store.jobs(study.id)
    assert said_of(home).plain.claim == "No recipe is finished yet."
    finish_job(store, study, bf16.id)
    assert said_of(home).plain.claim == "The original is measured; the smaller versions are still to come."
    finish_job(store, study, uniform.id)
    assert said_of(home).plain.claim.startswith("So far: ")


def test_a_study_of_the_original_alone_says_the_next_step(home: Path) -> None:
    finished_study(home, Study(recipes=("bf16",)))
    assert (
        said_of(home).plain.claim == "Only the original is measured: add a recipe in New, or resume one in Progress."
    )


def test_without_the_original_no_share_is_claimed(home: Path) -> None:
    finished_study(home, Study(recipes=("uniform", "mixed"), limit=100))
    said = said_of(home).plain
    assert said.claim == "Ship this: Mixed, 5 bits."
    assert "the original is not measured" in said.details[0] and "%" not in said.details[0]


def test_a_failed_original_is_named_as_the_reason(home: Path) -> None:
    store = Store(home)
    study = add_study(store, Study(recipes=("bf16", "uniform", "mixed"), limit=100))
    bf16, *others = store.jobs(study.id)
    fail_job(store, bf16.id, "out of memory")
    for job in others:
        finish_job(store, study, job.id)
    assert store.study(study.id).status is Status.FAILED
    assert "the original failed" in said_of(home).plain.details[0]


def test_a_study_of_prompts_alone_asks_to_look_at_the_answers(home: Path) -> None:
    finished_study(home, Study(tasks=()))
    assert "no benchmark questions" in said_of(home).plain.claim


def test_the_terminal_begins_with_the_answer(home: Path) -> None:
    finished_study(home, Study(avg_bits=(4.5, 6.0), limit=100))
    lines = render(read(home), "table").splitlines()
    assert lines[0].startswith("Every smaller version is clearly worse")
    assert any(line.startswith("4.5 bits: Mixed · 4.5 bits, ") for line in lines[:6])


def test_a_budget_without_a_winner_says_so_in_the_terminal(home: Path) -> None:
    finished_study(home, Study(avg_bits=(4.5, 6.0), limit=3, tasks=("piqa",)))
    lines = answer_lines(without_kl(read(home)))
    assert "4.5 bits: no winner yet (3 questions)." in lines
    assert MISSING not in " ".join(lines)
