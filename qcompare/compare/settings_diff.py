"""In which settings stored studies differ: what was asked, and the machines and libraries that answered."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import yaml

from qcompare.compare.selection import read_studies
from qcompare.store import Store
from qcompare.study.ids import StudyIds
from qcompare.study.records import StudyRecord
from qcompare.study.result import Environment, Result
from qcompare.study.spec import Study

OF_MACHINE = ("device", "device_name", "dtype", "threads", "python", "platform")
"""Fields of `Environment` that are compared, besides the libraries."""


@dataclass(frozen=True)
class Difference:
    """A setting that is not the same in all studies."""

    name: str
    """As in a study file (`calibration.num_samples`), or a field of `Environment`, or a library."""
    values: tuple[str | None, ...]
    """As in a study file, one per study; of rows that differ, each once. None: that study says nothing of it."""


@dataclass(frozen=True)
class SettingsDiff:
    """Studies, and all settings in which they differ."""

    studies: tuple[StudyRecord, ...]
    differences: tuple[Difference, ...]


def read_settings_diff(store: Store, study_ids: StudyIds) -> SettingsDiff:
    """The settings in which stored studies differ, in the order of the study file.

    Raises:
        NotFound: none is given, or there is no such study.
        QCompareError: they are too many.
    """
    studies = read_studies(store, study_ids)
    return SettingsDiff(studies, differences(studies, [store.results(study.id) for study in studies]))


def differences(studies: Sequence[StudyRecord], results: Sequence[Sequence[Result]]) -> tuple[Difference, ...]:
    """The settings in which studies differ; of results only where two studies or more have some.

    Args:
        results: of each study.
    """
    specs = [study.spec.model_dump(mode="json") for study in studies]
    nested = {name for name in Study.model_fields if all(isinstance(spec[name], dict) for spec in specs)}
    found = list(_differing([dict(_flat(spec, nested)) for spec in specs]))
    measured = [dict(_measured(each)) if each else None for each in results]
    if sum(each is not None for each in measured) > 1:
        found += _differing(measured)
    return tuple(found)


def _differing(of_studies: Sequence[Mapping[str, str] | None]) -> Iterator[Difference]:
    names = dict.fromkeys(name for settings in of_studies for name in settings or ())
    for name in names:
        values = tuple(settings.get(name) if settings else None for settings in of_studies)
        known = {value for value, settings in zip(values, of_studies, strict=True) if settings is not None}
        if len(known) > 1:
            yield Difference(name, values)


def _flat(spec: Mapping[str, Any], nested: Set[str]) -> Iterator[tuple[str, str]]:
    """Settings with their values as in a study file; the parts of nested ones by dotted names."""
    for name, value in spec.items():
        if name in nested:
            yield from ((f"{name}.{part}", _text(each)) for part, each in value.items())
        else:
            yield name, _text(value)


def _text(value: Any) -> str:
    dumped: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return dumped.removesuffix("...\n").strip()


def _measured(results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    environments = [result.environment for result in results]
    yield "revision", _each_once(result.model.revision for result in results)
    for name in OF_MACHINE:
        yield name, _each_once(getattr(each, name) for each in environments)
    libraries: dict[str, list[Environment]] = {}
    for each in environments:
        for library in each.libraries:
            libraries.setdefault(library, []).append(each)
    for library, users in libraries.items():
        yield library, _each_once(each.libraries[library] for each in users)


def _each_once(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None))
