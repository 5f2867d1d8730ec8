"""One study, or several of the same model, to be looked at together: which rows there are, and how each is called.

Several studies are named by their ids with commas between. What may stand in one table, `comparable` decides.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qcompare.errors import QCompareError
from qcompare.store import Store, overall
from qcompare.study.recipe import RECIPES
from qcompare.study.records import Job, StudyRecord
from qcompare.study.result import Result
from qcompare.study.spec import Study
from qcompare.words import gettext, ngettext

REFERENCE = "bf16"
"""The recipe that all others are measured against."""
BETWEEN = ","
"""Between the ids of several studies."""
MAX_STUDIES = 12


@dataclass(frozen=True)
class Selection:
    """What is looked at."""

    study: StudyRecord
    """The study; of several, a record made up of them, whose id names them all."""
    studies: tuple[StudyRecord, ...]
    jobs: tuple[Job, ...]
    results: tuple[Result, ...]
    labels: Mapping[str, str]
    """By study id: the settings that tell its rows from those of the others; empty for a single study."""
    repeats: Mapping[str, str]
    """Job id → that of a row of another study that is the same in everything: layers, conditions, scores."""

    @property
    def titles(self) -> dict[str, str]:
        """By job id: how its row is called. A repeated row is called as the one that it repeats."""
        shown = [job for job in self.jobs if job.id not in self.repeats]
        plain = {job_id: name + self._suffix(job_id) for job_id, name in row_titles(shown).items()}
        times = Counter(plain.values())
        found = {
            job.id: plain[job.id] + (f" · {_short(job.study_id)}" if times[plain[job.id]] > 1 else "")
            for job in shown
        }
        return found | {job_id: found[same] for job_id, same in self.repeats.items()}

    def _suffix(self, job_id: str) -> str:
        job = next(job for job in self.jobs if job.id == job_id)
        label = self.labels.get(job.study_id, "")
        common = job.recipe == REFERENCE or job.id in self.repeats.values()
        return f" · {label}" if label and not common else ""


def read_selection(store: Store, names: str) -> Selection:
    """The studies of these names.

    Args:
        names: id of a study or its beginning; several with commas between.

    Raises:
        NotFound: there is no such study, or a newer qcompare wrote its results.
        QCompareError: they are of different models, or too many.
    """
    studies = tuple({study.id: study for study in map(store.study, study_names(names))}.values())
    if len(studies) > MAX_STUDIES:
        raise QCompareError(
            "{n} studies are too many side by side: choose at most {most}", n=len(studies), most=MAX_STUDIES
        )
    jobs = tuple(job for study in studies for job in store.jobs(study.id))
    results = tuple(result for study in studies for result in store.results(study.id))
    _check_model(studies, results)
    if len(studies) == 1:
        return Selection(studies[0], studies, jobs, results, {}, {})
    return Selection(_made_up(studies), studies, jobs, results, _labels(studies), _repeats(results))


def study_names(names: str) -> list[str]:
    """The names of studies, apart."""
    return [name.strip() for name in names.split(BETWEEN) if name.strip()] or [names]


def title(recipe: str, avg_bits: float | None = None, several: bool = False) -> str:
    """A recipe's name for people, with the budget where a study has several."""
    name = gettext(RECIPES[recipe].label) if recipe in RECIPES else recipe
    if several and avg_bits is not None:
        return gettext("{recipe} · {bits} bits", recipe=name, bits=f"{avg_bits:g}")
    return name


def row_titles(jobs: Sequence[Job]) -> dict[str, str]:
    """How the rows of these jobs are called, by job id: the name that the study gives, or the recipe's own; with the
    budget where there are several, and with the schemes where a recipe has rows of several."""
    several = len({job.avg_bits for job in jobs if job.avg_bits is not None}) > 1
    specs = {job.id: job.recipe_spec for job in jobs}
    names = {job.id: specs[job.id].title or title(job.recipe, job.avg_bits, several) for job in jobs}
    times = Counter((job.study_id, names[job.id]) for job in jobs)
    for job in jobs:
        if times[job.study_id, names[job.id]] > 1 and (schemes := specs[job.id].schemes):
            names[job.id] += f" · {'/'.join(schemes)}"
    return names


def _check_model(studies: Sequence[StudyRecord], results: Sequence[Result]) -> None:
    """A model has one name, or one revision where it goes by several names."""
    models = list(dict.fromkeys(study.spec.model.partition("@")[0] for study in studies))
    measured = {result.study_id: result.model.revision for result in results}
    same = len(measured) == len(studies) and len(set(measured.values())) == 1
    if len(models) > 1 and not same:
        raise QCompareError(
            "these studies are of different models ({names}): choose studies of one", names=gettext(", ").join(models)
        )


def _made_up(studies: Sequence[StudyRecord]) -> StudyRecord:
    first, *others = studies
    specs = [study.spec for study in studies]
    return first.model_copy(
        update={
            "id": BETWEEN.join(study.id for study in studies),
            "name": ngettext("{name} and {n} other", "{name} and {n} others", len(others), name=first.name),
            "created": max(study.created for study in studies),
            "status": overall([study.status for study in studies]),
            "tags": (),
            "spec": first.spec.model_copy(
                update={
                    "tasks": tuple(dict.fromkeys(task for spec in specs for task in spec.tasks)),
                    "prompts": tuple(dict.fromkeys(prompt for spec in specs for prompt in spec.prompts)),
                    "avg_bits": tuple(sorted({bits for spec in specs for bits in spec.avg_bits})),
                }
            ),
        }
    )


def _labels(studies: Sequence[StudyRecord]) -> dict[str, str]:
    lines = [tuple(_settings(study.spec)) for study in studies]
    differ = [n for n, words in enumerate(zip(*lines, strict=True)) if len(set(words)) > 1]
    return {study.id: gettext(", ").join(line[n] for n in differ) for study, line in zip(studies, lines, strict=True)}


def _settings(spec: Study) -> Iterator[str]:
    """What makes a recipe of one study another than that of another, in words; always as many."""
    yield "/".join(spec.schemes)
    yield gettext("tuned, {n} steps", n=spec.iters) if spec.rounding == "tuned" else spec.rounding
    yield gettext("fused layers alike") if spec.shared_layers else gettext("layers free")
    yield gettext("scales not counted") if spec.ignore_scale_zp_bits else gettext("scales counted")
    text = spec.calibration
    yield gettext(
        "calibrated on {samples} × {length} tokens of {dataset}",
        samples=text.num_samples, length=text.max_seq_length, dataset=text.dataset,
    )  # fmt: skip


def _repeats(results: Sequence[Result]) -> dict[str, str]:
    found: dict[str, str] = {}
    for n, result in enumerate(results):
        others = (other for other in results[:n] if other.job_id not in found and other.study_id != result.study_id)
        same = next((other for other in others if _same(result, other)), None)
        if same:
            found[result.job_id] = same.job_id
    return found


def _same(ours: Result, theirs: Result) -> bool:
    fields = ("recipe", "model", "layer_config", "bits", "rounding", "tasks", "add_bos_token", "awq")
    return ours.environment.dtype == theirs.environment.dtype and all(
        getattr(ours, field) == getattr(theirs, field) for field in fields
    )


def _short(study_id: str) -> str:
    return study_id.rpartition("-")[2]
