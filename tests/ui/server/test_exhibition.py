"""An exhibition: everybody reads, and asks prompts within limits, which only they see."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from starlette.testclient import TestClient

from qcompare.errors import QCompareError
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import StudyRecord
from qcompare.study.spec import Study
from qcompare.ui.generations.own_prompt import prompt_study
from qcompare.ui.server.asking import ask_prompt
from qcompare.ui.server.identity import visitor_key
from qcompare.ui.server.roles import Right, Visitor, use_visitor
from qcompare.ui.shared import SharedStore
from tests.synthetic import finished_study
from tests.ui.server.conftest import Served


@pytest.fixture
def served(exhibition: Served, tiny_llama: Path) -> Iterator[Served]:
    """An exhibition with one measured study; nothing runs."""
    home = exhibition.settings.home
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "supervisor.lock"):
        if Store(home).newest() is None:
            finished_study(home, Study(model=str(tiny_llama), prompts=("Hello",)))
        yield exhibition


def public(served: Served) -> StudyRecord:
    return next(study for study in Store(served.settings.home).studies() if study.owner is None)


def visitor_client(served: Served) -> TestClient:
    client = served.client()
    client.get("/config")  # sets the cookie
    return client


@pytest.mark.filterwarnings("ignore::UserWarning")  # gradio shows a message only through its queue
def test_a_prompt_is_seen_by_its_visitor_alone(served: Served, ask: Callable[..., StudyRecord]) -> None:
    ann, ben = visitor_client(served), visitor_client(served)
    mine = ask(visitor_key(ann.cookies["qcompare-visitor"]), "my private question").id
    record = Store(served.settings.home).study(mine)
    assert record.owner and record.spec.prompts == ("my private question",)

    for client, sees in ((ann, True), (ben, False)):
        rows = served.press(client, "build_history.<locals>.show", None, "", "any state", "").text
        assert (mine in rows) is sees and public(served).id in rows
        assert (client.get(f"/log/{mine}.bf16").status_code == 200) is sees
        updates = client.get("/updates", params={"study": mine, "rows": ""}).json()
        assert ("qc-job" in updates["live"]["rows"]["html"]) is sees
        taken = served.press(client, "build_take_away.<locals>.<lambda>", mine).json()["data"][0]
        assert bool(taken) is sees, taken
    owner = SharedStore(served.settings.home)
    assert mine in {study.id for study in owner.studies()}  # the machine's owner, at the command line


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_visitors_start_cancel_delete_and_write_nothing(served: Served) -> None:
    client = visitor_client(served)
    before = {(study.id, study.name, study.status) for study in Store(served.settings.home).studies()}
    refused = 0
    for each in served.blocks.fns.values():
        right = getattr(each.fn, "right", None)
        if right in (None, Right.ASK, Right.VOTE):
            continue
        body = {"fn_index": each._id, "data": [public(served).id] * len(each.inputs), "session_hash": "s"}
        answer = client.post("/gradio_api/run/predict", json=body)
        assert answer.status_code == 403 and "you may not" in answer.text, each.fn.__qualname__
        refused += 1
    assert refused >= 11
    for act in ("cancel", "pause", "resume", "retry", "first", "last"):
        served.press(client, "performer", event={"act": act, "name": public(served).id})
    assert {(study.id, study.name, study.status) for study in Store(served.settings.home).studies()} == before


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_visitors_votes_count_once_each_and_only_on_what_they_see(served: Served) -> None:
    study, store = public(served), Store(served.settings.home)
    jobs = [job.id for job in store.jobs(study.id)]

    def cast(client: TestClient, **changes: Any) -> str:
        event = {"prompt": '"Hello"', "chosen": jobs[1], "shown": jobs, "browser": "of-my-choice-1"} | changes
        answer = served.press(client, "build_votes.<locals>.vote", study.id, event=event)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["data"][0])

    ann, ben = visitor_client(served), visitor_client(served)
    cast(ann)
    cast(ann, chosen=jobs[0], browser="of-my-choice-2")  # the cookie tells voters apart, not what a browser says
    assert "2 votes, 2 voters" in cast(ben)
    before = store.votes(study.id)
    assert [vote.chosen for vote in before] == [jobs[0], jobs[1]]
    for changes in ({"prompt": '"Why?"'}, {"chosen": "x.bf16"}, {"shown": jobs[:1]}, {"shown": 7}, {"prompt": None}):
        cast(ben, **changes)
    served.press(ann, "build_votes.<locals>.vote", "nonsense", event={"prompt": '"Hello"', "chosen": jobs[0]})
    assert store.votes(study.id) == before


@pytest.fixture
def ask(served: Served) -> Callable[..., StudyRecord]:
    """Ask a prompt as some visitor, under some limits."""

    def asked(key: str, text: str = "Hi", recipes: tuple[str, ...] = ("0",), **limits: Any) -> StudyRecord:
        settings = served.settings.model_copy(update=limits)
        study = public(served)
        who = Visitor(key, "", frozenset({Right.ASK}), settings.home, f"address of {key}", True)
        with use_visitor(who):
            return ask_prompt(
                SharedStore(settings.home), study, prompt_study(study.spec, text, list(recipes)), settings, "Prompt"
            )

    return asked


def test_length_tokens_rate_and_queue_are_limited(ask: Callable[..., StudyRecord]) -> None:
    roomy = {"ask_waiting": 100}
    with pytest.raises(QCompareError, match="at most 10 letters here, with the turns before it; got 11"):
        ask("ann", "a" * 11, ask_letters=10, **roomy)
    assert ask("ann", ask_tokens=7, **roomy).spec.max_new_tokens == 7
    ask("ann", **roomy)
    with pytest.raises(QCompareError, match="2 prompts an hour: try again in 60 minutes"):
        ask("ann", **roomy)
    ask("ben", **roomy)
    with pytest.raises(QCompareError, match="wait already"):
        ask("cat", ask_waiting=2)
    with pytest.raises(QCompareError, match="too large to be asked here: at most 1 MB"):
        ask("dan", ask_mb=1, **roomy)


def test_only_what_is_measured_and_here_is_asked(
    served: Served, ask: Callable[..., StudyRecord], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = Visitor("eve", "", frozenset({Right.ASK}), settings.home, "there", True)
    study = public(served)
    other = prompt_study(study.spec, "Hi", ["0"]).model_copy(
        update={"recipes": Study(recipes=({"recipe": "mixed", "avg_bits": 4.25},)).recipes}  # type: ignore[arg-type]
    )
    with use_visitor(who), pytest.raises(QCompareError, match="recipes that are measured"):
        ask_prompt(SharedStore(served.settings.home), study, other, served.settings, "Prompt")
    monkeypatch.setattr("qcompare.ui.server.asking.is_present", lambda model, settings: False)
    with pytest.raises(QCompareError, match="weights are not on this machine"):
        ask("fay", ask_waiting=100)


def test_named_users_of_an_exhibition_may_do_more(served: Served) -> None:
    assert served.client("alice").post("/gradio_api/upload", files={"files": ("a.csv", b"x")}).status_code == 200


def test_rest_and_mcp_keep_a_visitor_s_prompt_to_themselves(served: Served, ask: Callable[..., StudyRecord]) -> None:
    ann, ben = visitor_client(served), visitor_client(served)
    mine = ask(visitor_key(ann.cookies["qcompare-visitor"]), "what only Ann asks", ask_waiting=100).id
    for client, sees in ((ann, True), (ben, False)):
        codes = [client.get(f"/api/v1/studies/{mine}{part}").status_code for part in ("", "/results", "/verdict")]
        assert codes == [200 if sees else 404] * 3, codes
        for part in (mine[:12], mine[:8]):  # the beginning of an id does as well
            assert sees or mine not in client.get(f"/api/v1/studies/{part}").text
        arguments = {"name": "status", "arguments": {"study_id": mine}}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": arguments}
        answer = client.post("/mcp", json=call).json()["result"]
        assert answer["isError"] is not sees and "only Ann" not in str(answer if not sees else "")
        assert (client.get(f"/slides?study={mine}").status_code != 404) is sees


def test_an_upload_is_shown_to_nobody_else(served: Served) -> None:
    alice, visitor, bob = served.client("alice"), visitor_client(served), served.client("bob")
    answer = alice.post("/gradio_api/upload", files={"files": ("mine.csv", b"question,answer\nprivate,x\n")})
    path = answer.json()[0]
    assert alice.get(f"/gradio_api/file={path}").status_code == 200
    for other in (visitor, bob):
        for name in (path, path.replace("/mine", "//mine"), path.replace("/mine", "/./mine")):
            refused = other.get(f"/gradio_api/file={name}")
            assert refused.status_code in (403, 404) and "private" not in refused.text
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    assert "was not uploaded" in served.press(bob, "_importer.<locals>.take", file, "").text
    assert "was not uploaded" not in served.press(alice, "_importer.<locals>.take", file, "").text


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_one_visitor_does_not_fill_the_queue(ask: Callable[..., StudyRecord]) -> None:
    limits = {"ask_waiting": 1000, "ask_per_hour": 1000}
    for number in range(3):
        ask("greedy", f"prompt {number}", **limits)
    with pytest.raises(QCompareError, match="3 of your prompts wait already"):
        ask("greedy", "one more", **limits)
    ask("patient", "mine", **limits)
