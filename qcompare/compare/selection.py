"""One study, or several of the same model, to be looked at together: which rows there are, and how each is called.

What may stand in one table, `comparable` decides.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from qcompare.errors import NotFound, QCompareError
from qcompare.store import Store, overall
from qcompare.study.ids import StudyIds
from qcompare.study.recipe import RECIPES, RecipeSpec, is_baseline
from qcompare.study.records import Job, Status, StudyRecord
from qcompare.study.result import Result
from qcompare.study.spec import Study
from qcompare.words import Message, gettext_noop, joined, verbatim

MAX_STUDIES = 12
BETWEEN_NAMES = "{name} · {suffix}"
"""Needs no translation."""


@dataclass(frozen=True)
class Selection:
    """What is looked at."""

    studies: tuple[StudyRecord, ...]
    """At least one."""
    jobs: tuple[Job, ...]
    results: tuple[Result, ...]
    labels: Mapping[str, Message]
    """By study id: the settings that tell its rows from those of the others; empty for a single study."""
    repeats: Mapping[str, str]
    """Job id → that of a row of another study that is the same in everything: layers, conditions, scores."""

    @property
    def ids(self) -> StudyIds:
        """Of the studies."""
        return tuple(study.id for study in self.studies)

    @property
    def name(self) -> Message:
        """The study's name; of several, the first one's and their number."""
        first, *others = self.studies
        if not others:
            return verbatim(first.name)
        several = gettext_noop("{name} and {n} others")
        return Message(
            several if len(others) > 1 else gettext_noop("{name} and {n} other"),
            {"name": first.name, "n": len(others)},
        )

    @property
    def created(self) -> float:
        """Of the newest study, seconds since 1970."""
        return max(study.created for study in self.studies)

    @property
    def status(self) -> Status:
        """Of all studies together."""
        return overall([study.status for study in self.studies])

    @property
    def tags(self) -> tuple[str, ...]:
        """Of a single study."""
        return self.studies[0].tags if len(self.studies) == 1 else ()

    @cached_property
    def spec(self) -> Study:
        """What was asked; of several studies the first one's settings, with the tasks, prompts and budgets of all."""
        specs = [study.spec for study in self.studies]
        if len(specs) == 1:
            return specs[0]
        return specs[0].model_copy(
            update={
                "tasks": tuple(dict.fromkeys(task for spec in specs for task in spec.tasks)),
                "prompts": tuple(dict.fromkeys(prompt for spec in specs for prompt in spec.prompts)),
                "avg_bits": tuple(sorted({bits for spec in specs for bits in spec.avg_bits})),
            }
        )

    @cached_property
    def titles(self) -> dict[str, Message]:
        """By job id: how its row is called. A repeated row is called as the one that it repeats."""
        shown = [job for job in self.jobs if job.id not in self.repeats]
        plain = row_titles(shown)
        found = {job.id: _with_suffix(plain[job.id], self._label(job)) for job in shown}
        times = Counter(map(str, found.values()))
        for job in shown:
            if times[str(found[job.id])] > 1:
                found[job.id] = _with_suffix(found[job.id], job.study_id.rpartition("-")[2])
        return found | {job_id: found[same] for job_id, same in self.repeats.items()}

    def schemes(self, result: Result) -> tuple[str, ...]:
        """Those that a recipe chose from, lowest bits first."""
        return result.schemes or next(study.spec.schemes for study in self.studies if study.id == result.study_id)

    def _label(self, job: Job) -> Message | None:
        common = is_baseline(job.recipe) or job.id in self.repeats.values()
        return None if common else self.labels.get(job.study_id)


def read_studies(store: Store, study_ids: StudyIds) -> tuple[StudyRecord, ...]:
    """The studies of these ids, or beginnings of ids, each once.

    Raises:
        NotFound: none is given, or there is no such study.
        QCompareError: they are too many.
    """
    studies = tuple({study.id: study for study in map(store.study, study_ids)}.values())
    if not studies:
        raise NotFound("no study is named: give at least one id")
    if len(studies) > MAX_STUDIES:
        raise QCompareError(
            "{n} studies are too many side by side: choose at most {most}", n=len(studies), most=MAX_STUDIES
        )
    return studies


def read_selection(store: Store, study_ids: StudyIds) -> Selection:
    """The studies of these ids, or beginnings of ids.

    Raises:
        NotFound: none is given, there is no such study, or a newer qcompare wrote its results.
        QCompareError: they are of different models, or too many.
    """
    studies = read_studies(store, study_ids)
    jobs = tuple(job for study in studies for job in store.jobs(study.id))
    results = tuple(result for study in studies for result in store.results(study.id))
    _check_model(studies, results)
    if len(studies) == 1:
        return Selection(studies, jobs, results, {}, {})
    return Selection(studies, jobs, results, _labels(studies), _repeats(results))


def title(recipe: str, avg_bits: float | None = None, several: bool = False) -> Message:
    """A recipe's name for people, with the budget where a study has several."""
    name = Message(RECIPES[recipe].label if recipe in RECIPES else recipe)
    if several and avg_bits is not None:
        return Message("{recipe} · {bits} bits", {"recipe": name, "bits": f"{avg_bits:g}"})
    return name


def row_titles(jobs: Sequence[Job]) -> dict[str, Message]:
    """How the rows of these jobs are called, by job id: the name that the study gives, or the recipe's own; with the
    budget where there are several, with the schemes where a recipe has rows of several, and with the KV cache."""
    several = len({job.avg_bits for job in jobs if job.avg_bits is not None}) > 1
    specs = {job.id: job.recipe_spec for job in jobs}
    names = {job.id: _given(specs[job.id].row_title) or title(job.recipe, job.avg_bits, several) for job in jobs}
    times = Counter((job.study_id, str(names[job.id])) for job in jobs)
    for job in jobs:
        if times[job.study_id, str(names[job.id])] > 1 and (schemes := specs[job.id].schemes):
            names[job.id] = _with_suffix(names[job.id], "/".join(schemes))
        names[job.id] = with_cache(names[job.id], specs[job.id])
    return names


def with_cache(name: Message, spec: RecipeSpec) -> Message:
    """The name of a row, with what it does to the KV cache."""
    return Message("{recipe} + FP8 KV cache", {"recipe": name}) if spec.kv_cache else name


def _given(title: str | None) -> Message | None:
    return verbatim(title) if title else None


def _with_suffix(name: Message, suffix: Message | str | None) -> Message:
    return Message(BETWEEN_NAMES, {"name": name, "suffix": suffix}) if suffix else name


def _check_model(studies: Sequence[StudyRecord], results: Sequence[Result]) -> None:
    """A model has one name, or one revision where it goes by several names."""
    models = list(dict.fromkeys(study.spec.model.partition("@")[0] for study in studies))
    measured = {result.study_id: result.model.revision for result in results}
    same = len(measured) == len(studies) and len(set(measured.values())) == 1
    if len(models) > 1 and not same:
        raise QCompareError(
            "these studies are of different models ({names}): choose studies of one", names=joined(models)
        )


def _labels(studies: Sequence[StudyRecord]) -> dict[str, Message]:
    lines = [tuple(_settings(study.spec)) for study in studies]
    differ = [n for n, values in enumerate(zip(*lines, strict=True)) if len(set(map(str, values))) > 1]
    return {study.id: joined(line[n] for n in differ) for study, line in zip(studies, lines, strict=True) if differ}


def _settings(spec: Study) -> Iterator[Message]:
    """What makes a recipe of one study another than that of another; always as many."""
    yield verbatim("/".join(spec.schemes))
    yield Message("tuned, {n} steps", {"n": spec.iters}) if spec.rounding == "tuned" else verbatim(spec.rounding)
    yield Message("fused layers alike") if spec.shared_layers else Message("layers free")
    yield Message("scales not counted") if spec.ignore_scale_zp_bits else Message("scales counted")
    text = spec.calibration
    yield Message(
        "calibrated on {samples} × {length} tokens of {dataset}",
        {"samples": text.num_samples, "length": text.max_seq_length, "dataset": text.dataset},
    )


def _repeats(results: Sequence[Result]) -> dict[str, str]:
    found: dict[str, str] = {}
    for n, result in enumerate(results):
        others = (other for other in results[:n] if other.job_id not in found and other.study_id != result.study_id)
        same = next((other for other in others if _same(result, other)), None)
        if same:
            found[result.job_id] = same.job_id
    return found


def _same(ours: Result, theirs: Result) -> bool:
    fields = (
        *("recipe", "model", "layer_config", "bits", "rounding", "tasks", "add_bos_token", "awq"),
        *("checkpoint", "served", "kv_cache"),
    )
    return ours.environment.dtype == theirs.environment.dtype and all(
        getattr(ours, field) == getattr(theirs, field) for field in fields
    )
