"""Queue a study and make sure that somebody runs it."""

from pathlib import Path

from qcompare.jobs.executors.background import ensure_running
from qcompare.models.sources import absolute
from qcompare.plan.plan import make_plan
from qcompare.plan.preflight import check
from qcompare.recipes.calibration import LOCAL_ENDINGS
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import StudyRecord
from qcompare.study.spec import Study


def submit(
    study: Study, settings: Settings, name: str | None = None, anyway: bool = False, owner: str | None = None
) -> StudyRecord:
    """Check a study, store it, queue its jobs, and start a supervisor where none runs. Returns at once.

    Args:
        anyway: also when it does not seem to fit this machine.
        owner: the only visitor who may see it; None: everybody.

    Raises:
        DoesNotFit: it needs more than this machine has; nothing was stored.
        QCompareError: it cannot be done; nothing was stored.
    """
    plan = make_plan(study, settings)
    if not anyway:
        check(plan, settings)
    study = _with_absolute_paths(study, settings)  # jobs run in folders of their own
    if study.max_size:  # what stands for the budget wherever one is shown
        budgets = [x.avg_bits for x in plan.jobs if x.avg_bits and not (x.recipe.avg_bits or x.recipe.max_size)]
        study = study.model_copy(update={"avg_bits": tuple(dict.fromkeys(budgets)) or study.avg_bits})
    jobs = [(job.recipe, job.avg_bits, job.cost) for job in plan.jobs]
    record = Store(settings.home).add_study(study, name or study_name(study, plan.facts.title), jobs, owner)
    ensure_running(settings)
    return record


def _with_absolute_paths(study: Study, settings: Settings) -> Study:
    changes: dict[str, object] = {"model": absolute(study.model, settings)}
    if study.calibration.dataset.endswith(LOCAL_ENDINGS):
        dataset = str(Path(study.calibration.dataset).expanduser().absolute())
        changes["calibration"] = study.calibration.model_copy(update={"dataset": dataset})
    if study.divergence and study.divergence.text != "auto":
        text = str(Path(study.divergence.text).expanduser().absolute())
        changes["divergence"] = study.divergence.model_copy(update={"text": text})
    return study.model_copy(update=changes)


def study_name(study: Study, title: str) -> str:
    """How a study is called when nobody named it: "SmolLM2-135M-Instruct · MXFP4/MXFP8 · 5 bits"."""
    budgets = ", ".join(f"{bits:g}" for bits in study.avg_bits)
    return f"{title} · {'/'.join(study.schemes)} · {budgets} bits"
