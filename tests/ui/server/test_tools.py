"""REST and MCP: nothing blocks, the same documents, the same rights; malformed requests get one line, never a 500."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qcompare.api import status, verdict_document
from qcompare.compare.table import read_comparison
from qcompare.store import Store
from qcompare.study.records import StudyRecord
from qcompare.study.spec import Study
from tests.synthetic import finished_study
from tests.ui.server.conftest import PASSWORD, Served


@pytest.fixture(scope="module")
def study(local: Served) -> Iterator[StudyRecord]:
    home = local.settings.home
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "supervisor.lock"):
        yield finished_study(home, Study(recipes=("bf16", "uniform", "mixed")))


def rpc(served: Served, method: str, params: Any = None, number: Any = 1) -> Any:
    body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}
    return served.client().post("/mcp", json=body).json()


def test_rest_reads_what_is_stored(local: Served, study: StudyRecord) -> None:
    client, store = local.client(), Store(local.settings.home)
    found = client.get(f"/api/v1/studies/{study.id}").json()
    assert found == status(store, study.id).model_dump(mode="json")
    assert client.get(f"/api/v1/studies/{study.id}?since={found['cursor']}").json()["jobs"] == []
    comparison = read_comparison(store, (study.id,))
    assert client.get(f"/api/v1/studies/{study.id}/results").json() == json.loads(comparison.model_dump_json())
    verdict = client.get(f"/api/v1/studies/{study.id}/verdict").json()
    assert verdict == verdict_document(comparison).model_dump(mode="json")
    missing = client.get("/api/v1/studies/nothing")
    assert missing.status_code == 404 and "nothing" in missing.json()["error"]


def test_rest_plans_and_submits_json_and_yaml(local: Served, study: StudyRecord) -> None:
    client = local.client()
    plan = client.post("/api/v1/plan", json={"recipes": ["bf16", "uniform"], "limit": 5}).json()
    assert plan["schema_version"] == 1 and [job["recipe"] for job in plan["jobs"]] == ["bf16", "uniform"]
    made = client.post("/api/v1/studies?anyway=true", content="recipes: [bf16]\nlimit: 5\n")
    assert made.status_code == 202, made.text
    assert client.get(f"/api/v1/studies/{made.json()['study_id']}").json()["status"] == "queued"
    for body in ("[]", "recipes: [nothing]", "{", "\x00", "a: " + "[" * 5000, "x" * 1_500_000):
        refused = client.post("/api/v1/studies", content=body)
        assert refused.status_code == 400 and "\n" not in refused.json()["error"], body[:20]


def test_mcp_has_the_same_five_tools(local: Served, study: StudyRecord) -> None:
    begun = rpc(local, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}})
    assert begun["result"]["serverInfo"]["name"] == "qcompare"
    tools = rpc(local, "tools/list")["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["plan", "submit", "status", "results", "verdict"]
    found = rpc(local, "tools/call", {"name": "verdict", "arguments": {"study_id": study.id}})["result"]
    rest = local.client().get(f"/api/v1/studies/{study.id}/verdict").json()
    assert found["structuredContent"] == rest and json.loads(found["content"][0]["text"]) == rest
    wrong = rpc(local, "tools/call", {"name": "status", "arguments": {"study_id": "nothing"}})["result"]
    assert wrong["isError"] and "nothing" in wrong["content"][0]["text"]
    assert rpc(local, "tools/call", {"name": "delete"})["error"]["code"] == -32602
    assert rpc(local, "no/such")["error"]["code"] == -32601
    assert (
        local.client().post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}).status_code == 202
    )
    assert local.client().post("/mcp", content=b"{").status_code == 400


def test_the_openapi_page_names_the_addresses(local: Served) -> None:
    document = local.client().get("/api/v1/openapi.json").json()
    assert set(document["paths"]) == {
        "/api/v1/plan", "/api/v1/studies", "/api/v1/studies/{study_id}", "/api/v1/studies/{study_id}/results",
        "/api/v1/studies/{study_id}/verdict",
    }  # fmt: skip
    assert {"Comparison", "PlanDocument", "StudyStatus", "Submitted", "VerdictDocument"} <= set(
        document["components"]["schemas"]
    )
    page = local.client().get("/api/v1/docs")
    assert page.status_code == 200 and all(path in page.text for path in document["paths"])


def test_rights_hold_for_rest_and_mcp(team: Served, exhibition: Served) -> None:
    body = {"recipes": ["bf16"], "limit": 5}
    for served, auth, code in ((team, ("carol", PASSWORD), 403), (exhibition, None, 403), (team, None, 401)):
        answer = served.client().post("/api/v1/studies", json=body, auth=auth)
        assert answer.status_code == code, answer.text
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "submit", "arguments": {"study": body}},
    }
    assert exhibition.client().post("/mcp", json=call).json()["result"]["isError"]
    plan = team.client().post("/api/v1/plan", json=body, auth=("bob", PASSWORD))
    assert plan.status_code == 200
    paths = team.client().post("/api/v1/plan", json={**body, "model": "/etc"}, auth=("bob", PASSWORD))
    assert paths.status_code == 400 and "cannot be named here" in paths.json()["error"]
    for served in (team, exhibition):
        assert Store(served.settings.home).studies() == []


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    value=anything,
    method=st.sampled_from(["tools/call", "initialize", "tools/list", "x"]),
    raw=st.binary(max_size=60),
)
def test_malformed_requests_get_an_answer(local: Served, value: Any, method: str, raw: bytes) -> None:
    client = local.client(raise_server_exceptions=False)
    call = {"name": "status", "arguments": value}
    answers = [  # json.dumps writes NaN and Infinity, which httpx refuses to
        client.post("/mcp", content=json.dumps({"id": value, "method": method, "params": value})),
        client.post("/mcp", content=json.dumps({"id": 1, "method": "tools/call", "params": call})),
        client.post("/mcp", content=raw),
        client.post("/api/v1/plan", content=json.dumps({"tasks": value})),
        client.post("/api/v1/studies", content=raw),
        client.post("/api/v1/plan", content=json.dumps(value)),
    ]
    assert all(answer.status_code < 500 for answer in answers), [answer.text for answer in answers]
