"""Stored studies: found, renamed, tagged, deleted, packed into one file and opened elsewhere, cleaned up after."""

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from qcompare.compare.table import read_comparison
from qcompare.errors import InvalidStudy, NotFound, QCompareError
from qcompare.jobs.control import resume
from qcompare.jobs.library import annotate, delete, rename, size_of, tag
from qcompare.present.report import report
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.store.cache import Cache, CacheKey
from qcompare.store.garbage import find, remove
from qcompare.store.packing import ENDING, RECORD, pack, unpack
from qcompare.store.seal import damage, seal
from qcompare.study.records import Status, StudyRecord
from qcompare.study.spec import Study
from tests.synthetic import add_study, finish_job, finished_study


@pytest.fixture
def study(home: Path) -> StudyRecord:
    return finished_study(home, Study(recipes=("bf16", "uniform", "mixed")))


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


def test_studies_are_found_by_words_state_and_tag(store: Store, study: StudyRecord, settings: Settings) -> None:
    other = add_study(store, Study(model="org/llama-8b"), name="Overnight")
    tag(study.id, ["paper ", "  ", "paper", "8B"], settings)
    assert store.study(study.id).tags == ("paper", "8B")
    assert [s.id for s in store.search("LLAMA night")] == [other.id]
    assert [s.id for s in store.search("smollm paper")] == [study.id]
    assert [s.id for s in store.search(status=Status.QUEUED)] == [other.id]
    assert [s.id for s in store.search(tag="8B")] == [study.id]
    assert store.search("nothing of that kind") == []


def test_names_and_tags_have_limits(study: StudyRecord, settings: Settings) -> None:
    assert rename(study.id, "  the\n best <one> ", settings).name == "the best <one>"
    for bad in ("", "   ", "x" * 201):
        with pytest.raises(InvalidStudy, match="1 to 200 characters"):
            rename(study.id, bad, settings)
    with pytest.raises(InvalidStudy, match="too long"):
        tag(study.id, ["x" * 41], settings)


def test_notes_keep_their_lines_are_found_and_travel_with_the_packed_study(
    store: Store, study: StudyRecord, settings: Settings, tmp_path: Path
) -> None:
    path = pack(store, study.id, tmp_path)
    assert "notes" not in json.loads(zipfile.ZipFile(path).read(RECORD)), "older versions know no notes"
    assert annotate(study.id, "  For the 8B launch:\r\nship <mixed>\0 \ud800 ", settings).notes == (
        "For the 8B launch:\nship <mixed> ?"
    )
    assert [each.id for each in store.search("launch")] == [study.id]
    elsewhere = Store(tmp_path / "elsewhere")
    unpack(elsewhere, pack(store, study.id, tmp_path))
    assert elsewhere.study(study.id).notes == store.study(study.id).notes
    assert "ship &lt;mixed&gt;" in report(store, (study.id,))
    with pytest.raises(InvalidStudy, match="at most 10000 characters"):
        annotate(study.id, "x" * 10_001, settings)
    assert annotate(study.id, " ", settings).notes == ""
    assert 'qc-notes" dir' not in report(store, (study.id,))


def test_deleting_frees_what_was_announced(store: Store, study: StudyRecord, settings: Settings) -> None:
    announced = size_of(store, study.id)
    assert delete(study.id, settings) == announced > 1000
    assert not store.study_folder(study.id).exists()
    with pytest.raises(NotFound):
        store.study(study.id)


def test_a_running_study_is_not_deleted(store: Store, settings: Settings) -> None:
    study = add_study(store)
    store.claim("cpu")
    with pytest.raises(InvalidStudy, match="cancel it first"):
        delete(study.id, settings)
    assert store.study_folder(study.id).exists()


def test_a_packed_study_opens_elsewhere_with_the_same_results(
    store: Store, study: StudyRecord, settings: Settings, tmp_path: Path
) -> None:
    tag(study.id, ["paper"], settings)
    path = pack(store, study.id, tmp_path)
    assert path.name == f"{study.id}{ENDING}"
    elsewhere = Store(tmp_path / "elsewhere")
    assert unpack(elsewhere, path) == study.id
    there = elsewhere.study(study.id)
    assert (there.imported, there.name, there.tags, there.created) == (True, study.name, ("paper",), study.created)
    assert read_comparison(elsewhere, (study.id,)) == read_comparison(store, (study.id,))
    assert there.size_bytes == sum(elsewhere.folder(job.id).size_bytes() for job in elsewhere.jobs(study.id)) > 0
    for job in store.jobs(study.id):
        assert elsewhere.folder(job.id).log_tail() == store.folder(job.id).log_tail() != ""
        ours, theirs = (sorted(s.folder(job.id).published.iterdir()) for s in (store, elsewhere))
        assert [(file.name, file.read_bytes()) for file in ours] == [
            (file.name, file.read_bytes()) for file in theirs
        ]
    assert any(store.folder(job.id).layers_file.exists() for job in store.jobs(study.id))
    with pytest.raises(InvalidStudy, match="already here"):
        unpack(elsewhere, path)
    with pytest.raises(InvalidStudy, match="read-only"):
        resume(study.id, settings.model_copy(update={"home": elsewhere.home}))


def test_an_unfinished_study_is_not_packed(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match="not finished"):
        pack(store, add_study(store).id, tmp_path)


@pytest.mark.parametrize("name", ["../../evil.txt", "/etc/evil", "{job}/../../../evil", "{job}/evil.py", "evil"])
def test_a_file_that_reaches_outside_is_refused(store: Store, study: StudyRecord, tmp_path: Path, name: str) -> None:
    path = pack(store, study.id, tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name.format(job=store.jobs(study.id)[0].id), "evil")
    elsewhere = Store(tmp_path / "elsewhere")
    with pytest.raises(QCompareError, match="refused"):
        unpack(elsewhere, path)
    assert elsewhere.studies() == []
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("change", ["nothing", "text", "version", "result", "ids"])
def test_what_is_no_whole_packed_study_is_refused(
    store: Store, study: StudyRecord, tmp_path: Path, change: str
) -> None:
    path = pack(store, study.id, tmp_path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    record = json.loads(parts[RECORD])
    match change:
        case "text":
            path.write_text("not a zip")
        case "version":
            parts[RECORD] = json.dumps(record | {"schema_version": 99}).encode()
        case "result":
            name = next(name for name in parts if name.endswith("result.json"))
            parts[name] = parts[name].replace(b"0.6", b"0.9")
        case "ids":
            parts[RECORD] = json.dumps(record | {"id": "../up"}).encode()
        case _:
            del parts[RECORD]
    if change != "text":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in parts.items():
                archive.writestr(name, data)
    elsewhere = Store(tmp_path / "elsewhere")
    with pytest.raises(QCompareError):
        unpack(elsewhere, path)
    assert elsewhere.studies() == []
    assert not (elsewhere.home / "studies" / study.id).exists()


def test_gc_takes_what_no_study_needs_and_nothing_else(store: Store, study: StudyRecord) -> None:
    revision, kept, rows = store.results(study.id)[0].model.revision, dict[str, Path](), dict[str, Path]()
    for name in (revision, "gone"):
        cache, key = Cache(store.home / "kept"), CacheKey("layer_scores", name, {}, "", {"of": name})
        kept[name] = cache.entry(key, lambda folder: (folder / "x.json").write_text("x" * 1000) and None)
        rows[name] = cache.rows(replace(key, kind="answers")).path
    (store.home / "scores" / revision).mkdir(parents=True)  # as version 0.1 kept it
    (store.home / "studies" / "20200101-aaaaaa").mkdir()
    for study_id in ("20200101-aaaaaa", study.id):
        (store.home / "exports" / f"{study_id}.head-5-auto_round").mkdir(parents=True)
    draft = store.folder(store.jobs(study.id)[0].id).path / ".draft-abc"
    draft.mkdir()
    assert draft not in [each.path for each in find(store)]  # perhaps being written right now
    os.utime(draft, (0, 0))
    found = find(store)
    names = {str(each.path.relative_to(store.home)) for each in found}
    assert names == {
        *(f"scores/{revision}", "studies/20200101-aaaaaa"),
        *(f"kept/layer_scores/{kept['gone'].name}{suffix}" for suffix in ("", ".lock")),
        *(f"kept/answers/{rows['gone'].stem}{suffix}" for suffix in (".json", ".sqlite")),
        *("exports/20200101-aaaaaa.head-5-auto_round", str(draft.relative_to(store.home))),
    }
    assert remove(found) == sum(each.num_bytes for each in found) > 2000
    assert find(store) == []
    assert read_comparison(store, (study.id,)).scored


def test_gc_waits_for_running_jobs(store: Store) -> None:
    add_study(store)
    store.claim("cpu")
    with pytest.raises(InvalidStudy, match="running"):
        find(store)


def test_a_seal_sees_every_change(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\x00" * 100)
    seal(tmp_path)
    assert damage(tmp_path) is None
    (tmp_path / "a.bin").write_bytes(b"\x00" * 99 + b"\x01")
    assert damage(tmp_path) == "a.bin has changed since it was written"
    (tmp_path / "a.bin").unlink()
    assert damage(tmp_path) == "a.bin is missing"


def test_five_hundred_jobs_keep_their_order(store: Store) -> None:
    ids = [add_study(store, Study(recipes=("bf16",))).id for _ in range(500)]
    assert [job.study_id for job in store.jobs()] == ids
    assert (first := store.claim("cpu")) and first.study_id == ids[0]


def test_an_index_of_the_first_version_is_brought_up_to_date(
    store: Store, study: StudyRecord, tmp_path: Path
) -> None:
    import sqlite3

    from qcompare.store.schema import MIGRATIONS

    old = tmp_path / "old"
    old.mkdir()
    with sqlite3.connect(old / "index.sqlite") as db:
        for statement in MIGRATIONS[0]:
            db.execute(statement)
        db.execute("INSERT INTO study VALUES ('20260101-abcdef', 'old', 1.0, ?)", (Study().model_dump_json(),))
        db.execute(
            "INSERT INTO job (id, study_id, position, recipe, status, created)"
            " VALUES ('20260101-abcdef.bf16', '20260101-abcdef', 0, 'bf16', 'success', 1.0)"
        )
    db.close()
    store = Store(old)
    assert store.study("2026").tags == ()
    assert store.jobs("20260101-abcdef")[0].attempts == 0
    with sqlite3.connect(old / "index.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(QCompareError, match="newer qcompare"):
        Store(old)


def test_a_damaged_result_is_named(store: Store, home: Path) -> None:
    study = add_study(store, Study(recipes=("bf16",)))
    (job,) = store.jobs(study.id)
    finish_job(store, study, job.id)
    folder = store.folder(job.id)
    assert folder.damage() is None
    folder.result_file.write_text("{")
    assert folder.damage() == "result.json has changed since it was written"
    with pytest.raises(NotFound, match="damaged"):
        folder.result()


def test_texts_that_no_file_could_hold_are_made_storable(study: StudyRecord, settings: Settings) -> None:
    assert rename(study.id, "half \ud800 pair", settings).name == "half ? pair"
    assert tag(study.id, ["a,b", "c\udfff"], settings).tags == ("a", "b", "c?")
    with pytest.raises(InvalidStudy, match="at most 20 tags, got 21"):
        tag(study.id, [str(n) for n in range(21)], settings)


def test_a_place_that_cannot_be_written_is_told_in_one_line(store: Store, study: StudyRecord, tmp_path: Path) -> None:
    with pytest.raises(QCompareError, match="cannot be written"):
        pack(store, study.id, tmp_path / "no" / "such" / "folder" / "x.zip")


def test_a_file_damaged_inside_leaves_nothing(store: Store, study: StudyRecord, tmp_path: Path) -> None:
    packed = pack(store, study.id, tmp_path)
    with zipfile.ZipFile(packed) as archive:
        last = max(archive.infolist(), key=lambda member: member.header_offset)
    data = bytearray(packed.read_bytes())
    start = last.header_offset + 30 + len(last.filename)
    data[start : start + 40] = bytes(b ^ 0xFF for b in data[start : start + 40])
    packed.write_bytes(data)
    elsewhere = Store(tmp_path / "elsewhere")
    with pytest.raises(QCompareError, match="nothing imported"):
        unpack(elsewhere, packed)
    assert not elsewhere.study_folder(study.id).exists()


@pytest.mark.parametrize("record", [b"[" * 100_000, b"\xff\xfe", b"7"])
def test_a_record_that_is_none_is_refused(store: Store, tmp_path: Path, record: bytes) -> None:
    path = tmp_path / f"x{ENDING}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(RECORD, record)
    with pytest.raises(QCompareError, match=r"x\.qcompare\.zip: "):
        unpack(store, path)
