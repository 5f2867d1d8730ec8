"""A visitor's own prompt, and the limits that hold for it in an exhibition."""

from threading import Lock

from qcompare.errors import InvalidStudy, QCompareError
from qcompare.jobs.submit import submit
from qcompare.models.sources import is_present
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.prompts import turns
from qcompare.study.records import Status, StudyRecord
from qcompare.study.spec import Study
from qcompare.ui.server.limits import RateLimit
from qcompare.ui.server.roles import Right, require, visitor

HOUR = 3600.0
_limits: dict[int, RateLimit] = {}
_one_at_a_time = Lock()


def ask_prompt(store: Store, source: StudyRecord, asked: Study, settings: Settings, name: str) -> StudyRecord:
    """Queue a study of one prompt, which is asked of a stored study's rows.

    Raises:
        QCompareError: the visitor may not, or not now; nothing was stored.
    """
    require(Right.ASK)
    check_imported(source)
    who = visitor()
    of = source.asked_of or source.id
    if not who.limited:
        return submit(asked, settings, name=name, asked_of=of)
    asked = asked.model_copy(update={"max_new_tokens": min(asked.max_new_tokens, settings.ask_tokens)})
    _check_prompt(asked, settings)
    _check_built(store, source, asked, settings)
    with _one_at_a_time:
        waiting = [study for study in Store(settings.home).studies() if study.owner and not study.status.ended]
        if len(waiting) >= settings.ask_waiting:
            raise QCompareError("{n} prompts of visitors wait already: try again in a few minutes", n=len(waiting))
        if sum(study.owner == who.key for study in waiting) >= settings.ask_each:
            raise QCompareError("{n} of your prompts wait already: wait for an answer first", n=settings.ask_each)
        limit = _limits.setdefault(settings.ask_per_hour, RateLimit(settings.ask_per_hour, HOUR))
        if wait := limit.take(who.key, f"address {who.address}"):
            raise QCompareError(
                "a visitor may ask {n} prompts an hour: try again in {minutes} minutes",
                n=settings.ask_per_hour,
                minutes=-(-wait // 60),
            )
        return submit(asked, settings, name=name, asked_of=of, owner=who.key)


def check_imported(study: StudyRecord) -> None:
    """A study that came as a file must not send a secret of this machine to an address that the file names.

    Raises:
        InvalidStudy: it names a variable that holds a key.
    """
    if study.imported and any(getattr(recipe, "api_key_env", None) for recipe in study.spec.recipes):
        raise InvalidStudy(
            "this study came as a file and sends a key of this machine to a server: write a study file of your own"
        )


def _check_prompt(asked: Study, settings: Settings) -> None:
    letters = sum(len(turn) for prompt in asked.prompts for turn in turns(prompt))
    if letters > settings.ask_letters:
        raise InvalidStudy(
            "a prompt has at most {most} letters here, with the turns before it; got {n}",
            most=settings.ask_letters,
            n=letters,
        )


def _check_built(store: Store, source: StudyRecord, asked: Study, settings: Settings) -> None:
    """Visitors cause no downloads and no scoring of layers: the recipes are measured, the model is small and here."""
    done = {job.recipe_spec.model_dump_json() for job in store.jobs(source.id) if job.status is Status.SUCCESS}
    if any(recipe.served or recipe.model_dump_json() not in done for recipe in asked.recipes):
        raise InvalidStudy("visitors ask recipes that are measured: choose among those in the table of results")
    params = max((result.model.num_params for result in store.results(source.id)), default=0)
    if 2 * params > settings.ask_mb * 1_000_000 or not params:
        raise InvalidStudy("this model is too large to be asked here: at most {most} MB", most=settings.ask_mb)
    if not is_present(asked.model, settings):
        raise InvalidStudy("this model's weights are not on this machine: its recorded answers are all there is")
