"""Who may upload to the hub with the server's token: those with the right, by name."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from starlette.testclient import TestClient

from qcompare.errors import InvalidStudy, ModelUnavailable
from qcompare.export import push
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.result import ExportReport
from qcompare.ui.pages import page
from qcompare.ui.server.roles import Right
from qcompare.ui.server.users import write_user
from tests.synthetic import finished_study
from tests.ui.server.conftest import PASSWORD, Served, write_users

TOKEN = "hf_" + "ofTheServer" * 3


@pytest.fixture
def served(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A team's server that has a token and may ask the hub; nothing runs. Dora exports, Erik pushes as well."""
    users = write_users(tmp_path / "users.yaml")
    write_user(users, "dora", PASSWORD, [Right.EXPORT])
    write_user(users, "erik", PASSWORD, [Right.EXPORT, Right.PUSH])
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    settings.home.mkdir(parents=True)
    with FileLock(settings.home / "supervisor.lock"):
        yield Served(settings.model_copy(update={"role": "team", "users": users, "offline": False}))


def drawn(served: Served, client: TestClient, study_id: str) -> tuple[list[Any], list[Any]]:
    """What a page is told of a study, and the components that it is told."""
    follow = next(
        each for each in served.blocks.fns.values()
        if getattr(each.fn, "__qualname__", "").startswith("_follow.<locals>.follow")
        and each.fn.__name__ == "follow"
        and any(output.elem_id == "qc-push" for output in each.outputs)
    )  # fmt: skip
    body = {"fn_index": follow._id, "data": [study_id, "", None], "session_hash": f"s{id(client)}"}
    return client.post("/gradio_api/run/predict", json=body).json()["data"], follow.outputs


def export(served: Served, name: str, repo: str) -> tuple[list[str], str]:
    """What is queued after a press of the button, and the answer."""
    store = Store(served.settings.home)
    study, client = finished_study(served.settings.home), served.client(name)
    drawn(served, client, study.id)
    answer = served.press(client, "_starter.<locals>.begin", f"{study.id}.uniform", "auto_round", False, repo)
    queued = [job.export.push for job in store.jobs(study.id, exports=True) if job.export]
    return queued, answer.text


@pytest.mark.filterwarnings("ignore::UserWarning")  # gradio shows a message only through its queue
def test_the_right_decides_by_name(served: Served) -> None:
    assert export(served, "dora", "")[0] == [""]
    assert export(served, "dora", "org/name")[0] == []
    assert export(served, "erik", " org/name ")[0] == ["org/name"]
    queued, answer = export(served, "carol", "")  # may not even export
    assert queued == [] and "you may not write files on the server" in answer
    assert TOKEN not in answer


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_screen_says_what_may_be_done_without_it(served: Served) -> None:
    line = "You may write checkpoints here; uploading them to the hub needs the right"
    assert line in page("exports", lines=[], may_push=False) and line not in page("exports", lines=[], may_push=True)
    study = finished_study(served.settings.home)
    for name, shown in (("dora", False), ("erik", True)):
        values, components = drawn(served, served.client(name), study.id)
        field = next(n for n, each in enumerate(components) if each.elem_id == "qc-push")
        assert values[field]["visible"] is shown
        assert any(line in str(each) for each in values) is not shown


def test_without_a_token_or_a_hub_nothing_is_queued(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(InvalidStudy, match="QCOMPARE_OFFLINE"):
        push.check_push("org/name", settings)
    with pytest.raises(InvalidStudy, match="HF_TOKEN"):
        push.check_push("org/name", settings.model_copy(update={"offline": False}))
    with pytest.raises(InvalidStudy, match="give org/name"):
        push.check_push("just-a-name", settings)


def test_an_upload_that_is_refused_leaves_the_export_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = ExportReport.model_validate(REPORT | {"folder": str(tmp_path)})
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    uploaded: list[Any] = []

    def upload(folder: Path, repo: str, token: str) -> str:
        uploaded.append((folder, repo, token))
        if repo == "org/refused":
            raise ModelUnavailable("{repo}: not uploaded", repo=repo)
        return f"https://huggingface.co/{repo}"

    monkeypatch.setattr(push, "push_folder", upload)
    assert push.pushed(report, "org/name").pushed == "https://huggingface.co/org/name"
    refused = push.pushed(report, "org/refused")
    assert not refused.pushed and str(refused.push_problem) == "org/refused: not uploaded"
    assert ExportReport.model_validate_json(refused.model_dump_json()) == refused
    assert uploaded[0] == (tmp_path, "org/name", os.environ["HF_TOKEN"]) and TOKEN not in refused.model_dump_json()


REPORT = {
    "format": "auto_round", "folder": "", "layers": 1, "size_bytes": 1, "bits_per_weight": 4.0, "max_difference": 0.0,
    "mean_difference": 0.0, "top1_agreement": 1.0, "weights_difference": None, "dtype": "float32", "prompt": "x",
    "text": "y", "seconds": 1.0,
}  # fmt: skip
