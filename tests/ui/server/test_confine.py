"""Visitors name no files of the server, but for their uploads and what is shared."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qcompare.errors import InvalidStudy
from qcompare.settings import Settings
from qcompare.ui.new.form import DEMO, FOLDER, StudyForm
from qcompare.ui.new.task_picker import previews, task_choices  # noqa: F401
from qcompare.ui.server.confine import allowed, check_paths
from qcompare.ui.server.roles import Right, Visitor, use_visitor


@pytest.fixture
def bob(settings: Settings) -> Iterator[Visitor]:
    """A visitor of a team who may launch."""
    who = Visitor("user bob", "bob", frozenset({Right.LAUNCH}), settings.home)
    with use_visitor(who):
        yield who


REFUSED = [
    {"model": "/etc"},
    {"model": "../secret"},
    {"model": "~/models/x"},
    {"model": "file:///etc"},
    {"model": "\\\\server\\share"},
    {"model": "//server/share"},
    {"tasks": ["/etc/passwd.csv"]},
    {"tasks": "./mine.yaml"},
    {"tasks": ["C:\\questions.csv"]},
    {"recipes": [{"recipe": "checkpoint", "from": "/srv/private"}]},
    {"recipes": [{"recipe": "checkpoint", "from": "org/name:../../x.gguf"}]},
    {"recipes": [{"recipe": "endpoint", "url": "http://x/v1", "api_key_env": "HF_TOKEN"}]},
    {"calibration": {"dataset": "/var/log/x.jsonl"}},
    {"divergence": {"text": "/home/alice/mail.txt"}},
    {"model": "demo\0/etc"},
    {"model": 7},
]


@pytest.mark.parametrize("values", REFUSED, ids=str)
def test_paths_of_the_server_are_refused(bob: Visitor, values: dict) -> None:
    with pytest.raises(InvalidStudy) as error:
        check_paths(values)
    assert "\n" not in str(error.value)
    with use_visitor(replace(bob, home=None)):
        check_paths(values)  # the owner of the machine may


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"model": "demo", "tasks": ["arc_easy", "mmlu"], "recipes": ["bf16", {"recipe": "mixed", "avg_bits": 4.5}]},
        {"model": "org/name@main", "recipes": [{"recipe": "checkpoint", "from": "org/name-GGUF:x.Q4_K_M.gguf"}]},
        {"calibration": {"dataset": "auto"}, "divergence": {"text": "auto"}},
        {"calibration": {"dataset": "NeelNanda/pile-10k"}, "divergence": None},
    ],
    ids=str,
)
def test_names_are_not_paths(bob: Visitor, values: dict) -> None:
    check_paths(values)


def test_uploads_and_shared_folders_are_open(
    bob: Visitor, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = settings.home / "questions" / "ab" / "mine.csv"
    mine.parent.mkdir(parents=True)
    mine.write_text("question,answer\na,b\n")
    secret = tmp_path / "secret.csv"
    secret.write_text("a")
    link = mine.with_name("link.csv")
    link.symlink_to(secret)
    assert allowed(str(mine)) and not allowed(str(link)) and not allowed(f"{mine.parent}/../../index.csv")
    shared = tmp_path / "shared"
    shared.mkdir()
    assert not allowed(str(shared / "model"))
    monkeypatch.setenv("QCOMPARE_SHARED_DIR", str(shared))
    assert allowed(str(shared / "model")) and not allowed(str(shared / ".." / "secret.csv"))


def test_a_folder_beside_the_server_is_no_hub_name(
    bob: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not allowed("org/name") and allowed("org/other")


def test_the_form_reads_no_files_of_the_server(bob: Visitor, settings: Settings, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("question,answer\nTop secret?,yes\n")
    assert "Top secret" not in previews([str(secret)], settings)
    form = StudyForm(DEMO, None, "MXFP4,MXFP8", 5.0, ["bf16"], [str(secret)], 5, "Hello")
    for asked in (
        form,
        replace(form, source=FOLDER, name=str(tmp_path), tasks=[]),
        replace(form, tasks=[], checkpoints=[str(secret.with_suffix(".gguf"))]),
    ):
        with pytest.raises(InvalidStudy, match="server"):
            asked.study()
