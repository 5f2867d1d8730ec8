"""What a study is expected to take, from history and without; and the refusal of what cannot fit."""

from dataclasses import replace
from pathlib import Path

import pytest

from qcompare.jobs.submit import submit
from qcompare.plan import memory, preflight
from qcompare.plan.capacity import Capacity, Holder, ram
from qcompare.plan.estimates import job_stages, work
from qcompare.plan.plan import Plan, make_plan
from qcompare.plan.preflight import DoesNotFit, Fit, memory_fit, notes, problems
from qcompare.recipes.base import Recipe
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.store.packing import pack, unpack
from qcompare.study.recipe import recipe_of
from qcompare.study.records import Job, StudyRecord
from qcompare.study.result import Result
from qcompare.study.spec import Study
from qcompare.study.stage import Stage
from tests.synthetic import add_study, make_result


@pytest.fixture(autouse=True)
def without_bfloat16_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """The made-up runs computed in float32."""
    monkeypatch.setattr(memory, "_cpu_flags", lambda: set())


SECONDS = {
    "fetching the model": 20.0,
    "choosing layers": 0.1,
    "loading the model": 4.0,
    "reading held-out text": 6.0,
    "lambada_openai": 4.0,
    "hellaswag": 6.0,
    "piqa": 3.0,
    "winogrande": 2.0,
    "comparing predictions": 12.0,
    "answering prompts": 8.0,
}
"""Of a BF16 job with 25 questions per task."""


def finished(store: Store, spec: Study, seconds: dict[str, float], **changes: object) -> StudyRecord:
    """A study whose jobs took this long each, twelve seconds for starting."""
    study = add_study(store, spec)
    for number, job in enumerate(store.jobs(study.id)):
        mine = {stage: s for stage, s in seconds.items() if stage in set(job_stages(recipe(job.recipe), spec))}
        once = {"fetching the model": 0.0, "reading held-out text": 0.0} if number else {}
        publish(store, job, make_result(study, job.id, seconds=mine | once, **changes))
    return study


def publish(store: Store, job: Job, result: Result) -> None:
    store.claim("cpu")
    with store.folder(job.id).publish() as draft:
        (draft / "result.json").write_text(result.model_dump_json())
    began = store.job(job.id).started or 0.0
    with store._database.change() as db:
        times = (began - sum(result.seconds.values()) - 12, began, job.id)
        db.execute("UPDATE job SET status = 'success', started = ?, finished = ? WHERE id = ?", times)


def recipe(name: str) -> Recipe:
    found = recipe_of(name)
    assert isinstance(found, Recipe)
    return found


def spec(limit: int, *recipes: str, **values: object) -> Study:
    return Study.model_validate({"limit": limit, "recipes": recipes or ("bf16", "uniform"), **values})


def test_history_scales_with_the_work(settings: Settings) -> None:
    """Four times the questions take four times the time of the tasks; what is kept costs nothing."""
    store = Store(settings.home)
    for _ in range(3):
        finished(store, spec(25), SECONDS | {"quantizing layers": 8.0}, peak_memory_bytes=1_600_000_000)
    bf16 = make_plan(spec(125), settings).jobs[0].cost
    tasks = sum(SECONDS[task] for task in Study().tasks)
    fresh = (125 - 25) / 25 * tasks  # 25 of the 125 questions have their scores already
    expected = 12 + 0.1 + 4 + fresh + 12 + 8
    assert bf16.seconds.likely == pytest.approx(expected, rel=0.05)
    assert bf16.memory_bytes.likely == 1_600_000_000
    assert "earlier runs of this model" in str(bf16.basis)
    assert bf16.seconds.high / bf16.seconds.low < 1.6


def test_a_recipe_never_run_is_estimated_from_the_others(settings: Settings) -> None:
    store = Store(settings.home)
    finished(store, spec(25), SECONDS | {"quantizing layers": 8.0})
    other, bf16 = (make_plan(spec(25, name), settings).jobs[0].cost for name in ("tail", "bf16"))
    assert "other recipes" in str(other.basis)
    assert other.seconds.high / other.seconds.low > bf16.seconds.high / bf16.seconds.low
    assert other.stages["quantizing layers"] == 8.0


def test_interrupted_and_reused_runs_teach_nothing_about_tasks(settings: Settings) -> None:
    store = Store(settings.home)
    finished(store, spec(25, "bf16"), SECONDS | {"hellaswag": 0.001}, reused_requests=400)
    stages = make_plan(spec(100, "bf16"), settings).jobs[0].cost.stages
    assert stages["hellaswag"] > 1


def test_runs_of_another_machine_teach_nothing(settings: Settings, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    unpack(Store(settings.home), pack(other, finished(other, spec(25), SECONDS).id, tmp_path))
    plan = make_plan(spec(25), settings)
    assert "rule of thumb" in str(plan.basis)


def test_without_history_ranges_are_wide_and_the_basis_says_so(settings: Settings) -> None:
    plan = make_plan(spec(25), settings)
    assert "rule of thumb" in str(plan.basis)
    assert plan.seconds.low < plan.seconds.likely / 2 < plan.seconds.high


def test_scores_of_layers_are_paid_once(settings: Settings) -> None:
    first, second = (
        job.cost.stages["choosing layers"] for job in make_plan(spec(25, "mixed", avg_bits=[4.5, 5]), settings).jobs
    )
    assert first > 60 > 15 > second


def test_memory_for_scoring_layers_is_asked_once_too(settings: Settings) -> None:
    store = Store(settings.home)
    scored = SECONDS | {"quantizing layers": 8.0, "choosing layers": 85.0}
    finished(store, spec(25, "mixed"), scored, peak_memory_bytes=4_700_000_000)
    finished(store, spec(25, "uniform"), SECONDS, peak_memory_bytes=1_600_000_000)
    again = make_plan(spec(50, "mixed"), settings).jobs[0].cost
    other_text = make_plan(spec(50, "mixed", calibration={"num_samples": 32}), settings).jobs[0].cost
    assert (again.memory_bytes.likely, other_text.memory_bytes.likely) == (1_600_000_000, 4_700_000_000)


def test_stages_and_their_work_follow_from_the_study() -> None:
    study = Study(limit=10, tasks=("mmlu", "piqa"), divergence=None)
    assert list(job_stages(recipe("bf16"), study)) == [
        *(
            Stage.STARTING,
            "fetching the model",
            "choosing layers",
            "loading the model",
            "mmlu",
            "piqa",
            "answering prompts",
        )
    ]
    assert [work(task, study, recipe("bf16")) for task in study.tasks] == [570, 10]


@pytest.fixture
def plan(settings: Settings) -> Plan:
    return make_plan(spec(25, "bf16", "mixed"), settings)


def machine(patch: pytest.MonkeyPatch, total: float, free: float | None = None, disk: float = 1e12) -> None:
    capacity = Capacity(int(total), int(total if free is None else free), (Holder(7, "python", 10**9),))
    patch.setattr(preflight, "of_device", lambda device: capacity)
    patch.setattr(preflight, "free_disk", lambda folder: int(disk))


def test_what_cannot_fit_is_refused_with_numbers_and_what_would(
    plan: Plan, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, 2e9)
    (problem,) = map(str, problems(plan, settings))
    assert problem.startswith("mixed needs 2.36 GB to 6.55 GB of memory")
    assert "this machine has 2 GB: leave it out (bf16 would fit)" in problem
    machine(monkeypatch, 1e9)
    assert "a model of up to about 0.0" in str(next(problems(plan, settings)))
    machine(monkeypatch, 64e9)
    assert list(problems(plan, settings)) == []


def test_a_model_fits_perhaps_fits_or_does_not(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    for total, fit in ((64e9, Fit.YES), (4e9, Fit.PERHAPS), (2e9, Fit.NO)):
        machine(monkeypatch, total)
        assert memory_fit(plan)[0] is fit


def test_a_full_disk_is_foreseen(plan: Plan, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 64e9, disk=2e8)
    (problem,) = map(str, problems(plan, settings))
    assert "are free: free 1.1" in problem


def test_who_else_holds_memory_is_named(plan: Plan, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 64e9, free=1e9)
    assert list(map(str, notes(plan, settings))) == ["only 1 GB of 64 GB memory are free now: python (pid 7) 1 GB"]


def test_jobs_that_run_elsewhere_are_not_judged_by_this_machine(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 1000, disk=0)
    settings = Settings(executor="ray", executor_address="http://head:8265")
    assert list(problems(plan, settings)) == []
    (said,) = notes(plan, settings)
    assert str(said) == "jobs run on ray http://head:8265; time and memory are estimates for this machine"


def test_refused_unless_it_is_wanted_anyway(
    tiny_llama: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, 1000)
    monkeypatch.setattr("qcompare.jobs.submit.ensure_running", lambda settings: None)
    study = Study(model=str(tiny_llama), tasks=(), prompts=("Hello",), recipes=("bf16",))
    with pytest.raises(DoesNotFit, match="run it anyway"):
        submit(study, settings)
    assert Store(settings.home).studies() == []
    record = submit(study, settings, anyway=True)
    (job,) = Store(settings.home).jobs(record.id)
    assert job.estimate and job.estimate.memory_bytes.low > 1000


def test_the_memory_of_this_machine_is_read() -> None:
    found = ram()
    assert 0 < found.free_bytes <= found.total_bytes
    assert replace(found, holders=()) == found


@pytest.mark.parametrize("budget", [4.0, 8.0])
def test_budgets_at_which_recipes_are_the_same_model_are_named(settings: Settings, budget: float) -> None:
    recipes = ("bf16", "uniform", "head", "tail", "mixed")
    (said,) = notes(make_plan(Study(recipes=recipes, avg_bits=(5.0, budget)), settings), settings)
    assert str(said).startswith(f"at {budget:g} bits ")
    assert all(name in str(said) for name in ("Output end high", "Input end high", "Mixed"))
    assert list(notes(make_plan(Study(recipes=recipes), settings), settings)) == []
