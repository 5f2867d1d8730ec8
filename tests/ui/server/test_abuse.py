"""Malformed requests of every kind: never a 500, and never a path, a token or a traceback of the server.

`python -m benchmarks.load` sends ten thousand of them; here are some of each kind.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from filelock import FileLock
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from starlette.testclient import TestClient

from tests.synthetic import finished_study
from tests.ui.server import malformed
from tests.ui.server.conftest import Served
from tests.ui.server.malformed import TOKEN, problems_of

some = hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate),
)  # fmt: skip


@pytest.fixture(scope="module")
def target(local: Served) -> Iterator[tuple[Served, str]]:
    """An app whose visitor may do everything, and a study. Nothing is computed."""
    home = local.settings.home
    home.mkdir(parents=True, exist_ok=True)
    before = os.environ.get("HF_TOKEN")
    os.environ["HF_TOKEN"] = TOKEN
    with FileLock(home / "supervisor.lock"):
        yield local, finished_study(home).id
    os.environ.pop("HF_TOKEN") if before is None else os.environ.update(HF_TOKEN=before)


def check(served: Served, answer: Any, sent: object = "") -> None:
    assert problems_of(answer, served.settings.home, repr(sent)) == [], (sent, answer.text[:300])


def client(served: Served) -> TestClient:
    return served.client(raise_server_exceptions=False)


@some
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_calls_of_handlers(target: tuple[Served, str], data: st.DataObject) -> None:
    served, study = target
    path, body = data.draw(malformed.handler_calls(served, [study]))
    check(served, client(served).post(f"/gradio_api/{path}", content=body, headers=JSON), body)


JSON = {"content-type": "application/json"}


@some
@given(data=st.data())
def test_addresses_and_headers(target: tuple[Served, str], data: st.DataObject) -> None:
    served, study = target
    path, headers = data.draw(malformed.addresses([study])), data.draw(malformed.headers)
    check(served, client(served).get(path, headers=headers), (path, headers))


@some
@given(message=malformed.rpc, form=malformed.forms)
def test_mcp_and_uploads(target: tuple[Served, str], message: bytes, form: tuple[bytes, str]) -> None:
    served, _ = target
    check(served, client(served).post("/mcp", content=message), message)
    body, kind = form
    check(served, client(served).post("/gradio_api/upload", content=body, headers={"content-type": kind}), form)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_rest_as_its_openapi_says(target: tuple[Served, str], mode: GenerationMode) -> None:
    served, _ = target
    schema = schemathesis.openapi.from_dict(client(served).get("/api/v1/openapi.json").json())
    for found in schema.get_all_operations():
        operation = found.ok()

        @hypothesis_settings(some, max_examples=8)
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            check(served, malformed.send_case(client(served), case), case)

        try:
            send()
        except Exception as error:
            if type(error).__name__ != "Unsatisfiable":  # nothing can be wrong about this one
                raise


@pytest.mark.parametrize(
    "body",
    [
        "model: &a [*a]",
        "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
            f"{n}: &{n} [{', '.join([f'*{p}'] * 8)}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "model: " + "[" * 400 + "]" * 400,
        'prompts: ["\\ud800"]',
        "limit: " + "9" * 6000,
        "model: 2001-01-01\ntasks: !!set {a, b}",
        '{"prompts": [NaN], "seed": Infinity}',
    ],
)  # fmt: skip
def test_bodies_that_grow_are_refused_in_a_line(target: tuple[Served, str], body: str) -> None:
    served, _ = target
    answer = client(served).post("/api/v1/plan", content=body)
    assert answer.status_code == 400 and "\n" not in answer.json()["error"], answer.text
    check(served, answer, body)


def test_sessions_and_names_of_any_length_are_not_kept(target: tuple[Served, str]) -> None:
    served, _ = target
    before = len(served.app.state_holder.session_data)
    handler = next(each for each in served.blocks.fns.values() if each.fn is not None)
    for name in ("x" * 65, "a b", "é", "", None):
        body = {"fn_index": handler._id, "data": [""] * len(handler.inputs), "session_hash": name}
        for path in ("run/predict", "queue/join"):
            assert client(served).post(f"/gradio_api/{path}", json=body).status_code == 422, (path, name)
    assert len(served.app.state_holder.session_data) == before
    assert 0 < served.blocks._queue.max_size <= 1000


@pytest.mark.parametrize("name", ["/etc/passwd", "http://192.0.2.1/large", "app.py", "/tmp/../etc/passwd", 7])
def test_a_call_names_no_file_but_an_upload(target: tuple[Served, str], name: object) -> None:
    served, _ = target
    file = {"path": name, "meta": {"_type": "gradio.FileData"}}
    for handler in served.blocks.fns.values():
        if handler.fn is None or not handler.inputs:
            continue
        for value in (file, [file], {"a": [file]}):
            body = {"fn_index": handler._id, "data": [value] * len(handler.inputs), "session_hash": "files"}
            answer = client(served).post("/gradio_api/run/predict", json=body)
            assert answer.status_code == 422 and "was not uploaded" in answer.text
        break


@pytest.mark.filterwarnings("ignore::UserWarning")  # gradio shows a message only through its queue
def test_a_call_without_any_value_is_no_fault_of_the_server(target: tuple[Served, str]) -> None:
    served, _ = target
    faults = []
    for each in served.blocks.fns.values():
        if each.fn is not None:
            body = {"fn_index": each._id, "data": [None] * len(each.inputs), "session_hash": "empty"}
            answer = client(served).post("/gradio_api/run/predict", json=body)
            faults += [each.fn.__qualname__] if answer.status_code >= 500 else []
    assert faults == []


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_a_handler_refuses_is_no_fault_of_the_server(target: tuple[Served, str]) -> None:
    served, _ = target
    answer = served.press(client(served), "performer", event={"act": "cancel"})
    assert answer.status_code == 422 and "load it again" in answer.json()["error"]


def test_a_handler_s_own_fault_still_is_one(target: tuple[Served, str], monkeypatch: pytest.MonkeyPatch) -> None:
    served, _ = target

    def broken(*values: object) -> None:
        raise RuntimeError("a fault of ours, in /secret/path")

    monkeypatch.setattr("qcompare.ui.app.refresh", broken)
    answer = served.press(client(served), "_follow.<locals>.follow", "", "", None)
    assert answer.status_code == 500 and "secret" not in answer.text
