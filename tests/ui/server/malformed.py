"""Requests that no page and no client of ours sends, made up by hypothesis; what an answer to one must not hold."""

import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gradio.utils import get_upload_folder
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.ui.server.conftest import Served

TOKEN = "hf_" + "Abuse0Token" * 3
"""Of the machine: no answer may hold it."""
STRANGE = (
    "", "\0", "../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "9" * 5000, "a" * 3000, "%s{0}{x}", "💥",
    "<script>alert(1)</script>", "'; DROP TABLE study; --", "\ud800", "__class__", "demo", "\\\\host\\share",
)  # fmt: skip
LEAKS = ("Traceback (most recent", "site-packages", 'File "', TOKEN)
Send = Callable[[TestClient], Any]

texts = st.sampled_from(STRANGE) | st.text(max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
files = st.fixed_dictionaries({"path": texts, "meta": st.just({"_type": "gradio.FileData"})})


def problems_of(answer: Any, home: Path, sent: str = "") -> list[str]:
    """What is wrong with an answer to a malformed request: a 500, or a word of the machine that was not sent."""
    own = [word for word in (*LEAKS, str(home), tempfile.gettempdir() + "/") if word not in sent]
    text = answer.text.replace(f"{get_upload_folder()}/", "")  # how gradio's page names a file that it may save
    found = [f"says {word!r}" for word in own if word in text]
    full = answer.status_code == 503 and "Queue is full" in answer.text  # nothing takes calls out of it here
    return [*found, *([f"status {answer.status_code}"] if answer.status_code >= 500 and not full else [])]


def handler_calls(served: Served, studies: Iterable[str]) -> st.SearchStrategy[tuple[str, bytes]]:
    """Address and body: calls of handlers that exist, with as many values as they take; and of some that do not."""
    handlers = [each for each in served.blocks.fns.values() if each.fn is not None]
    known = st.sampled_from([*studies, "bf16", "results", "local"])
    some = values | files | known | st.lists(known, max_size=2)
    event = st.none() | values | st.dictionaries(
        st.sampled_from(["study", "job", "act", "name", "text", "look", "index", "value", "tick"]), some, max_size=4
    )  # fmt: skip

    def call(handler: Any) -> st.SearchStrategy[dict[str, Any]]:
        count = len(handler.inputs)
        return st.fixed_dictionaries(
            {"fn_index": st.just(handler._id), "data": st.lists(some, min_size=count, max_size=count),
             "session_hash": st.sampled_from(["one", "two"]), "event_data": event}
        )  # fmt: skip

    broken = st.fixed_dictionaries(
        {}, optional=dict.fromkeys(["fn_index", "data", "session_hash", "event_id", "trigger_id", "batched"], values)
    )
    right = st.tuples(
        st.sampled_from(["run/predict"] * 6 + ["queue/join"]), st.sampled_from(handlers).flatmap(call).map(_json)
    )
    wrong = st.tuples(
        st.sampled_from(["run/predict", "queue/join", "cancel", "reset"]), broken.map(_json) | st.binary(max_size=40)
    )
    return right | right | right | wrong


def addresses(studies: Iterable[str]) -> st.SearchStrategy[str]:
    """Addresses to be read, of the app and of gradio, with strange parts."""
    word = (texts | st.sampled_from([*studies])).map(lambda text: quote(text.encode("utf-8", "surrogatepass")))
    places = [
        "/log/{}", "/log/{}?from={}", "/log/{}?find={}", "/slides?study={}&theme={}", "/api/v1/studies/{}",
        "/api/v1/studies/{}/results", "/api/v1/studies/{}/verdict", "/api/v1/studies/{}?since={}", "/static/{}",
        "/gradio_api/file={}", "/gradio_api/info?all_endpoints={}", "/pwa_icon/{}", "/assets/{}", "/{}",
        "/gradio_api/custom_component/{}/x/y/z", "/gradio_api/{}", "/config?lang={}", "/manifest.json?{}", "/mcp/{}",
    ]  # fmt: skip
    return st.tuples(st.sampled_from(places), word, word).map(lambda parts: parts[0].format(*parts[1:]))


headers = st.dictionaries(
    st.sampled_from(
        ["origin", "host", "cookie", "accept-language", "authorization", "x-forwarded-host", "x-forwarded-for",
         "x-forwarded-proto", "content-type", "content-length", "sec-fetch-mode", "sec-fetch-site", "x-gradio-server",
         "range"]
    ),
    texts.filter(lambda text: not {"\n", "\r"} & set(text)).map(lambda text: text.encode("ascii", "replace")),
    max_size=2,
)  # fmt: skip

rpc = st.fixed_dictionaries(
    {"id": values, "method": st.sampled_from(["tools/call", "initialize", "tools/list", "ping", "x"])},
    optional={
        "params": values | st.fixed_dictionaries(
            {"name": st.sampled_from(["plan", "submit", "status", "results", "verdict"]),
             "arguments": values | st.fixed_dictionaries({"study": values})
             | st.fixed_dictionaries({"study_id": values})}
        )
    },
).map(lambda message: _json(message))  # fmt: skip

parts = st.tuples(texts, texts, st.binary(max_size=60), st.sampled_from([b"b", b"c", b""])).map(
    lambda part: b"--" + part[3] + b'\r\nContent-Disposition: form-data; name="' + _bytes(part[0]) + b'"; filename="'
    + _bytes(part[1]) + b'"\r\n\r\n' + part[2] + b"\r\n--b--\r\n"
)  # fmt: skip
forms = st.tuples(
    st.binary(max_size=60) | parts
    | st.just(b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n--b--\r\n'),
    st.sampled_from(["multipart/form-data; boundary=b", "multipart/form-data", "multipart/form-data; boundary=",
                     "application/json", "text/plain", ""]),
)  # fmt: skip
"""Body and content type of an upload."""


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()  # NaN and half characters too, which are no JSON


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def send_case(client: TestClient, case: Any) -> Any:
    """Send a request that schemathesis made of an OpenAPI description."""
    path = case.path
    for name, value in (case.path_parameters or {}).items():
        path = path.replace("{" + name + "}", quote(str(value).encode("utf-8", "replace"), safe=""))
    body = case.body if isinstance(case.body, bytes) else _json(_plain(case.body))
    sent = {name: _bytes(str(value)) for name, value in (case.headers or {}).items() if str(value).isprintable()}
    query = [(str(key), _query(value)) for key, value in (case.query or {}).items()]
    return client.request(case.method, path, params=query, content=body, headers=sent)


def _query(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode()


def _plain(value: Any) -> Any:
    return value if isinstance(value, dict | list | str | int | float | bool | None) else str(value)
