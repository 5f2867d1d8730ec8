"""Packed studies made to harm: nothing outside their folder is written, read or removed, and nothing of them runs."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcompare.errors import QCompareError
from qcompare.store import Store
from qcompare.store.packing import RECORD, pack, unpack
from qcompare.store.seal import damage
from qcompare.study.records import Status
from qcompare.study.spec import Study
from tests.synthetic import finished_study

Change = Callable[[dict[str, Any], dict[str, bytes]], None]


@pytest.fixture
def hostile(home: Path, tmp_path: Path) -> Callable[[Change], Path]:
    """A packed study, changed: its record, and its files by name."""
    study = finished_study(home, Study(recipes=("bf16", "uniform")))
    good = pack(Store(home), study.id, tmp_path)

    def make(change: Change) -> Path:
        with zipfile.ZipFile(good) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        record = json.loads(files.pop(RECORD))
        change(record, files)
        path = tmp_path / "hostile.qcompare.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(RECORD, json.dumps(record))
            for name, data in files.items():
                archive.writestr(name, data)
        return path

    return make


def renamed(study_id: str) -> Change:
    """The study under another id, and nothing else changed."""

    def change(record: dict[str, Any], files: dict[str, bytes]) -> None:
        old, record["id"] = record["id"], study_id
        for job in record["jobs"]:
            job["id"], job["study_id"] = job["id"].replace(old, study_id), study_id
        for name in list(files):
            files[name.replace(old, study_id)] = files.pop(name)

    return change


@pytest.mark.parametrize("study_id", ["..", ".", "", "a/b", "a\\b", "C:x", "../../x", "x\n", "-x", "…"])
def test_ids_that_are_no_names_are_refused(hostile: Callable[[Change], Path], tmp_path: Path, study_id: str) -> None:
    def change(record: dict[str, Any], files: dict[str, bytes]) -> None:
        renamed(study_id)(record, files)
        for name in files:
            if name.endswith("result.json"):
                files[name] += b" "  # damaged: what was extracted is removed again

    target = Store(tmp_path / "elsewhere" / "home")
    keep = target.home / "keep.txt"
    keep.write_text("mine")
    with pytest.raises(QCompareError):
        unpack(target, hostile(change))
    assert keep.read_text() == "mine" and target.studies() == []
    assert {path.name for path in target.home.rglob("*") if path.is_file()} - {"keep.txt"} <= {
        "index.sqlite", "index.sqlite-wal", "index.sqlite-shm",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["../out.txt", "/tmp/out.txt", "JOB/../../out.txt", "JOB/result/../../../x", "JOB/run.py"]
)
def test_files_that_lead_elsewhere_are_refused(hostile: Callable[[Change], Path], tmp_path: Path, name: str) -> None:
    def change(record: dict[str, Any], files: dict[str, bytes]) -> None:
        files[name.replace("JOB", record["jobs"][0]["id"])] = b"x"

    with pytest.raises(QCompareError, match="belongs to no job"):
        unpack(Store(tmp_path / "elsewhere"), hostile(change))


@pytest.mark.parametrize("status", ["queued", "running"])
def test_jobs_that_would_run_here_are_refused(hostile: Callable[[Change], Path], tmp_path: Path, status: str) -> None:
    def change(record: dict[str, Any], files: dict[str, bytes]) -> None:
        record["jobs"][1]["status"] = status
        record["spec"]["model"] = "evil/model"

    target = Store(tmp_path / "elsewhere")
    with pytest.raises(QCompareError, match="has not ended"):
        unpack(target, hostile(change))
    assert target.jobs(status=Status.QUEUED) == [] and not target.work_left()


def test_a_seal_reads_no_files_outside_its_folder(hostile: Callable[[Change], Path], tmp_path: Path) -> None:
    def change(record: dict[str, Any], files: dict[str, bytes]) -> None:
        for name in files:
            if name.endswith("seal.json"):
                files[name] = json.dumps({"/dev/zero": "0" * 64, "../../../x": "0" * 64}).encode()

    with pytest.raises(QCompareError, match="names a file outside"):
        unpack(Store(tmp_path / "elsewhere"), hostile(change))


@pytest.mark.parametrize("text", ["[]", '"x"', "7", '{"a": 1}', '{"a": null}', "{"])
def test_a_strange_seal_is_damage(tmp_path: Path, text: str) -> None:
    (tmp_path / "seal.json").write_text(text)
    assert damage(tmp_path)


def test_links_are_not_made(hostile: Callable[[Change], Path], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path = hostile(lambda record, files: None)
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("log.txt")]
        files = {name: archive.read(name) for name in archive.namelist() if name not in names}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        for name in names:
            link = zipfile.ZipInfo(name)
            link.external_attr = 0o120777 << 16
            archive.writestr(link, str(secret))
    target = Store(tmp_path / "elsewhere")
    study = unpack(target, path)
    log = target.folder(target.jobs(study)[0].id).log
    assert not log.is_symlink() and log.read_text() == str(secret)


def test_packed_logs_hold_no_tokens(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "swordfish-99")
    study = finished_study(home, Study(recipes=("bf16", "uniform")))
    store = Store(home)
    store.folder(store.jobs(study.id)[0].id).log.write_text("HF_TOKEN=hf_" + "a" * 34 + " and swordfish-99\n")
    with zipfile.ZipFile(pack(store, study.id, tmp_path)) as archive:
        texts = b"".join(archive.read(name) for name in archive.namelist() if name.endswith("log.txt"))
    assert b"hf_aaaa" not in texts and b"swordfish" not in texts and b"***" in texts


def test_a_solid_bundle_holds_the_same_and_is_smaller(home: Path, tmp_path: Path) -> None:
    study = finished_study(home)
    plain, solid = (pack(Store(home), study.id, tmp_path / name, name == "solid") for name in ("plain", "solid"))
    assert solid.stat().st_size < plain.stat().st_size / 2
    here = [Store(tmp_path / f"home of {path.name}") for path in (plain, solid)]
    assert [unpack(store, path) for store, path in zip(here, (plain, solid), strict=True)] == [study.id] * 2
    files = [
        {path.relative_to(store.home): path.is_file() and path.read_bytes() for path in folder.rglob("*")}
        for store in here
        for folder in [store.study_folder(study.id)]
    ]
    assert files[0] == files[1] and len(files[0]) > 20


def test_a_solid_bundle_that_is_damaged_or_too_large_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pack(Store(home), finished_study(home).id, tmp_path / "whole", solid=True)
    target, content = Store(tmp_path / "elsewhere"), whole.read_bytes()
    for at in (60, len(content) // 2):
        damaged = tmp_path / "damaged"
        damaged.write_bytes(content[:at] + bytes(each ^ 255 for each in content[at : at + 40]) + content[at + 40 :])
        with pytest.raises(QCompareError, match="nothing imported"):
            unpack(target, damaged)
    monkeypatch.setattr("qcompare.store.packing.MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(QCompareError, match="would take more than"):
        unpack(target, whole)
    assert target.studies() == []


def test_names_that_some_file_systems_do_not_tell_apart_are_refused(
    hostile: Callable[[Change], Path], tmp_path: Path
) -> None:
    """macOS and Windows keep the case of a name and ignore it: one job would write over another's files."""

    def two_in_one(record: dict[str, Any], files: dict[str, bytes]) -> None:
        first, second = (job["id"] for job in record["jobs"])
        record["jobs"][1]["id"] = first.upper().replace(record["id"].upper(), record["id"])
        for name in [name for name in files if name.startswith(f"{second}/")]:
            del files[name]

    target = Store(tmp_path / "elsewhere" / "home")
    with pytest.raises(QCompareError, match="refused"):
        unpack(target, hostile(two_in_one))


def test_a_study_that_is_here_in_another_case_is_not_written_over(
    hostile: Callable[[Change], Path], home: Path
) -> None:
    store = Store(home)
    (study,) = store.studies()
    louder = "".join(letter.upper() if letter.islower() else letter for letter in study.id)
    if louder == study.id:
        pytest.skip("the id that was drawn has no letters")
    with pytest.raises(QCompareError, match="is already here"):
        unpack(store, hostile(renamed(louder)))


@pytest.mark.parametrize("study_id", ["CON", "nul", "Com1", "LPT9"])
def test_names_of_devices_are_refused(hostile: Callable[[Change], Path], tmp_path: Path, study_id: str) -> None:
    target = Store(tmp_path / "elsewhere" / "home")
    with pytest.raises(QCompareError, match="refused"):
        unpack(target, hostile(renamed(study_id)))
    assert unpack(target, hostile(renamed("CONSOLE"))) == "CONSOLE"
