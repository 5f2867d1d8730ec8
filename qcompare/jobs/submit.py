"""Queue a study and make sure that somebody runs it."""

from itertools import count
from pathlib import Path, PurePath

from qcompare.jobs.executors import Executors
from qcompare.jobs.executors.background import ensure_running
from qcompare.jobs.library import check_runs_here
from qcompare.models.sources import absolute
from qcompare.plan.more import name_with_questions, with_questions
from qcompare.plan.plan import make_plan
from qcompare.plan.preflight import check
from qcompare.recipes.calibration import LOCAL_ENDINGS
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import StudyRecord
from qcompare.study.spec import Study
from qcompare.study.task import is_file

LONGEST_PART = 60
"""Letters of a list of recipes in a study's name."""


def submit(
    study: Study,
    settings: Settings,
    name: str | None = None,
    anyway: bool = False,
    asked_of: str | None = None,
    owner: str | None = None,
) -> StudyRecord:
    """Check a study, store it, queue its jobs, and start a supervisor where none runs. Returns at once.

    Args:
        anyway: also when it does not seem to fit this machine.
        asked_of: the study whose rows it asks a further prompt.
        owner: the only visitor who may see it; None: everybody.

    Raises:
        DoesNotFit: it needs more than this machine has; nothing was stored.
        QCompareError: it cannot be done; nothing was stored.
    """
    store = Store(settings.home)
    _ = Executors(store, settings).default  # refuses options that are wrong
    plan = make_plan(study, settings)
    if not anyway:
        check(plan, settings)
    study = _with_absolute_paths(study, settings)  # jobs run in folders of their own
    if study.max_size:  # what stands for the budget wherever one is shown
        budgets = [x.avg_bits for x in plan.jobs if x.avg_bits and not (x.recipe.avg_bits or x.recipe.max_size)]
        study = study.model_copy(update={"avg_bits": tuple(dict.fromkeys(budgets)) or study.avg_bits})
    jobs = [(job.recipe, job.avg_bits, job.cost) for job in plan.jobs]
    name = unused_name(store, name or study_name(study, plan.facts.title))
    record = store.add_study(study, name, jobs, asked_of, owner)
    ensure_running(settings)
    return record


def ask_more(name: str, questions: int, settings: Settings) -> StudyRecord:
    """Let a study go on with so many questions in all: a new one of the same rows, which computes only the new ones.

    The study itself stays as it is, so what it found can be read while the new one runs.

    Raises:
        NotFound: there is no such study.
        InvalidStudy: it asks all questions already, or ran in another home, which has its scores.
        QCompareError: as `submit`.
    """
    record = Store(settings.home).study(name)
    check_runs_here(record)
    more = with_questions(record.spec, questions)
    asked = _asked(record.spec)
    given = record.name.endswith(f" · {asked}")  # the name that studies are given
    name = record.name.removesuffix(asked) + _asked(more) if given else name_with_questions(record, more)
    return submit(more, settings, name)


def _with_absolute_paths(study: Study, settings: Settings) -> Study:
    changes: dict[str, object] = {"model": absolute(study.model, settings)}
    if study.calibration.dataset.endswith(LOCAL_ENDINGS):
        dataset = str(Path(study.calibration.dataset).expanduser().absolute())
        changes["calibration"] = study.calibration.model_copy(update={"dataset": dataset})
    if study.divergence and study.divergence.text != "auto":
        text = str(Path(study.divergence.text).expanduser().absolute())
        changes["divergence"] = study.divergence.model_copy(update={"text": text})
    return study.model_copy(update=changes)


def unused_name(store: Store, name: str) -> str:
    """The name, with a number where another study has it: `SmolLM2 · MXFP4/MXFP8 · 5 bits (2)`."""
    taken = {study.name for study in store.studies()}
    names = (name if n == 1 else f"{name} ({n})" for n in count(1))
    return next(each for each in names if each not in taken)


def study_name(study: Study, title: str) -> str:
    """How a study is called when nobody named it, by what it asked.

    `SmolLM2-135M-Instruct · MXFP4/MXFP8 · 5 bits · 4 tasks × 25`; `Llama-8B · bf16, awq_w4a16 · mmlu, all questions`.
    """
    mixing = [recipe for recipe in study.recipes if not (recipe.is_baseline or recipe.writes or recipe.as_text)]
    made = "/".join(study.schemes) if mixing else ", ".join(recipe.title or recipe.name for recipe in study.recipes)
    parts = [title, made if len(made) <= LONGEST_PART else f"{made[: LONGEST_PART - 1]}…"]
    if any(recipe.takes_budget for recipe in mixing):
        parts.append(", ".join(f"{bits:g}" for bits in study.avg_bits) + " bits")
    return " · ".join([*parts, _asked(study)])


def _asked(study: Study) -> str:
    if not study.tasks:
        return f"{len(study.prompts)} prompts" if len(study.prompts) > 1 else "1 prompt"
    tasks = study.tasks[0] if len(study.tasks) == 1 else f"{len(study.tasks)} tasks"
    tasks = PurePath(tasks).stem if is_file(tasks) else tasks
    return f"{tasks}, all questions" if study.limit is None else f"{tasks} × {study.limit}"
