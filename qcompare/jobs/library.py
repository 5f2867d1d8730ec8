"""What people do with stored studies: rename, tag, annotate, delete, with the same checks for screen and commands."""

import json
from collections.abc import Sequence

from qcompare.errors import InvalidStudy
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import StudyRecord

MAX_NAME = 200
MAX_TAG = 40
MAX_TAGS = 20
MAX_NOTES = 10_000


def check_runs_here(study: StudyRecord) -> None:
    """Refuse to compute for a study that came as a file: its scores are in the home that it ran in.

    Raises:
        InvalidStudy: it is such a study.
    """
    if study.imported:
        raise InvalidStudy(
            "study {study} was imported and is read-only: copy its settings to a new study to run it here",
            study=study.id,
        )


def rename(name: str, new_name: str, settings: Settings) -> StudyRecord:
    """Give a study another name.

    Raises:
        NotFound: there is no such study.
        InvalidStudy: the name is empty or too long.
    """
    store, text = Store(settings.home), _clean(new_name)
    study = store.study(name)
    if not 0 < len(text) <= MAX_NAME:
        raise InvalidStudy("a study's name has 1 to {most} characters, got {n}", most=MAX_NAME, n=len(text))
    store.note(study.id, name=text)
    return store.study(study.id)


def tag(name: str, tags: Sequence[str], settings: Settings) -> StudyRecord:
    """Give a study these tags in place of its old ones. A comma ends a tag.

    Raises:
        NotFound: there is no such study.
        InvalidStudy: a tag is too long, or there are too many.
    """
    store = Store(settings.home)
    study = store.study(name)
    clean = list(dict.fromkeys(text for each in ",".join(tags).split(",") if (text := _clean(each))))
    if len(clean) > MAX_TAGS:
        raise InvalidStudy("a study has at most {most} tags, got {n}", most=MAX_TAGS, n=len(clean))
    if long := next((text for text in clean if len(text) > MAX_TAG), None):
        raise InvalidStudy("tag '{tag}…' is too long: at most {most} characters", tag=long[:MAX_TAG], most=MAX_TAG)
    store.note(study.id, tags=json.dumps(clean, ensure_ascii=False))
    return store.study(study.id)


def annotate(name: str, notes: str, settings: Settings) -> StudyRecord:
    """Give a study these notes in place of its old ones; line breaks are kept.

    Raises:
        NotFound: there is no such study.
        InvalidStudy: they are too long.
    """
    store, text = Store(settings.home), _storable(notes).replace("\r\n", "\n").strip()
    study = store.study(name)
    if len(text) > MAX_NOTES:
        raise InvalidStudy("notes have at most {most} characters, got {n}", most=MAX_NOTES, n=len(text))
    store.note(study.id, notes=text)
    return store.study(study.id)


def set_margin(name: str, points: float, settings: Settings) -> StudyRecord:
    """Set by how many points of average accuracy a recipe of a study may be worse and still count as good.

    Raises:
        NotFound: there is no such study.
        InvalidStudy: it is out of range.
    """
    store = Store(settings.home)
    study = store.study(name)
    if not 0 <= points <= 100:
        raise InvalidStudy("the margin is 0 to 100 points of accuracy, got {points}", points=f"{points:g}")
    store.set_margin(study.id, points)
    return store.study(study.id)


def _clean(text: str) -> str:
    """One line that can be stored."""
    return " ".join(_storable(text).split())


def _storable(text: str) -> str:
    """What no text can hold (half of a surrogate pair) becomes a question mark; a null character goes."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def size_of(store: Store, study_id: str) -> int:
    """Bytes on disk that deleting a study frees."""
    from qcompare.store.folders import folder_bytes

    return folder_bytes(store.study_folder(study_id))


def delete(name: str, settings: Settings) -> int:
    """Remove a study with all its files; gives the bytes that are free now.

    Raises:
        NotFound: there is no such study.
        InvalidStudy: it is running.
    """
    store = Store(settings.home)
    study = store.study(name)
    freed = size_of(store, study.id)
    store.delete(study.id)
    return freed
