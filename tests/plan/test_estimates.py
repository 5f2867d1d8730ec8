"""What the stages of a job are expected to take."""

from qcompare.plan.estimates import Estimates, job_stages, work
from qcompare.study.recipe import RECIPES
from qcompare.study.spec import HeldOut, Study
from qcompare.study.stage import Stage
from tests.plan.test_memory import SHAPES

TASKS = ("lambada_openai", "hellaswag", "gsm8k")


def test_the_noise_floor_is_a_stage_that_costs_time_only_where_it_is_asked_for() -> None:
    for asked in (False, True):
        study = Study(tasks=TASKS, noise_floor=asked)
        cost = Estimates(SHAPES["8B"].facts(), study, "cpu", ()).cost(study.recipes[0], None)
        assert (Stage.NOISE in cost.stages) is asked
        assert not asked or cost.stages[Stage.NOISE] > 1
    served = next(kind for kind in RECIPES.values() if kind.served)
    assert Stage.NOISE not in job_stages(served.model_construct(), Study(tasks=TASKS, noise_floor=True))


def test_its_amount_is_that_of_a_fixed_sample() -> None:
    held_out = HeldOut(num_samples=16, max_seq_length=100)
    amounts = [
        work(Stage.NOISE, Study(tasks=TASKS, limit=limit, divergence=held_out), Study().recipes[0])
        for limit in (100, None)
    ]
    assert amounts[0] == amounts[1] > 4 * 100
    short = Study(tasks=(), divergence=HeldOut(num_samples=2, max_seq_length=100))
    assert work(Stage.NOISE, short, short.recipes[0]) == 200
