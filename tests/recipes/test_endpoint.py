"""Rows behind a server: what a study may say of one, and a study that has such a row beside BF16."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qcompare.compare.table import read_comparison
from qcompare.errors import InvalidStudy
from qcompare.evaluate.benchmarks import Options
from qcompare.evaluate.endpoint.client import Client
from qcompare.evaluate.endpoint.speed import measure_speed
from qcompare.evaluate.scoring.endpoint import EndpointLM
from qcompare.jobs.submit import submit
from qcompare.plan.plan import make_plan
from qcompare.present.caveats import caveats
from qcompare.present.html import table_html
from qcompare.present.render import FORMATS, render
from qcompare.recipes import endpoint as module
from qcompare.recipes.endpoint import Endpoint
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.reading import parse_study, read_study
from qcompare.study.spec import Study
from tests.evaluate.endpoint.completions_server import Behaviour, Server, serve
from tests.jobs.test_running import wait

ROOT = Path(__file__).parents[2]
KEY = "sk-SENTINEL-0123456789abcdef"
SECRET = "hunter2-SENTINEL"


def study(model: Path | str, url: str, **values: Any) -> dict[str, Any]:
    row = {"recipe": "endpoint", "url": url, **values.pop("row", {})}
    return {
        "model": str(model), "recipes": ["bf16", row], "tasks": ["toy", "toy_written"], "limit": 4,
        "prompts": ["Name a city."], "max_new_tokens": 8, "divergence": None, "scorer": "lm_eval", **values,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"url": f"http://user:{SECRET}@host/v1"}, "secrets do not belong in a study"),
        ({"url": f"http://{SECRET}@host/v1"}, "secrets do not belong in a study"),
        ({"url": f"http://host/v1?key={SECRET}"}, "secrets do not belong in a study"),
        ({"url": f"ftp://host/{SECRET}"}, "is no web address"),
        ({"url": f"http://[{SECRET}"}, "is no web address"),
        ({"url": "http://host:99999/v1"}, "is no web address"),
        ({"url": "http://host/v1", "api_key_env": SECRET}, "must be the name of an environment variable"),
        ({"url": "http://host/v1", "api_key_env": "sk_live_abc123"}, "never the key itself"),
        ({"url": "http://host/v1", "api_key": SECRET}, "unknown parameter 'api_key'"),
        ({}, "url: "),
    ],
)
def test_a_row_that_cannot_be_is_refused_without_repeating_a_secret(row: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidStudy, match=said) as caught:
        parse_study({"recipes": ["bf16", {"recipe": "endpoint", **row}]})
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_row_is_written_as_it_is_read() -> None:
    row = {"recipe": "endpoint", "url": "http://host:8000/v1/", "model": "m", "api_key_env": "MY_KEY", "timeout": 9}
    again = read_study(parse_study({"recipes": [row]}).to_yaml())
    (found,) = again.recipes
    assert found.parameters == {"url": "http://host:8000/v1", "model": "m", "api_key_env": "MY_KEY", "timeout": 9.0,
                                "num_concurrent": 8}  # fmt: skip
    assert found.row_title == "m"


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("http://localhost:8000/v1", {"url": "http://localhost:8000/v1"}),
        (" https://host/v1/ my-model ", {"url": "https://host/v1", "model": "my-model"}),
        ("http://host/v1/completions", {"url": "http://host/v1"}),
        ("org/name-GGUF:file.gguf", None),
        ("./folder", None),
        ("", None),
    ],
)
def test_an_address_that_is_typed_becomes_a_row(text: str, row: dict[str, str] | None) -> None:
    found = Endpoint.from_text(text)
    assert found == (None if row is None else Endpoint(**row))


@pytest.fixture(scope="module")
def running(tiny_llama: Path) -> Iterator[Server]:
    with serve(tiny_llama) as found:
        yield found


@pytest.fixture
def server(running: Server) -> Server:
    running.behaviour = Behaviour()
    module._unreachable.cache_clear()
    return running


def test_a_plan_refuses_a_server_that_cannot_be_asked(
    tiny_llama: Path, server: Server, settings: Settings, toy_package: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(parse_study(study(tiny_llama, server.url)), settings)
    assert [(job.bits is None, job.size_bytes is None) for job in plan.jobs] == [(False, False), (True, True)]
    assert server.behaviour.requests == 0  # its list of models was asked for, nothing else
    with pytest.raises(InvalidStudy, match=r"http://127.0.0.1:9/v1: nothing answers there"):
        make_plan(parse_study(study(tiny_llama, "http://127.0.0.1:9/v1")), settings)
    server.behaviour.key = KEY
    module._unreachable.cache_clear()
    with pytest.raises(InvalidStudy, match="wants a key"):
        make_plan(parse_study(study(tiny_llama, server.url)), settings)
    keyed = parse_study(study(tiny_llama, server.url, row={"api_key_env": "A_KEY"}))
    with pytest.raises(InvalidStudy, match="environment variable A_KEY is not set here"):
        make_plan(keyed, settings)
    monkeypatch.setenv("A_KEY", KEY)
    make_plan(keyed, settings)


@pytest.fixture
def run(toy_package: None, tmp_path: Path, home: Path) -> Any:
    """Run a study in the foreground, or another command, with the toy tasks of a package."""
    site = tmp_path / "site"

    def run(asked: dict[str, Any] | str, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "study.yaml"
        if not isinstance(asked, str):
            file.write_text(json.dumps(asked))
            asked, more = "run", (str(file),)
        path = os.pathsep.join([str(site), str(ROOT)])
        return subprocess.run(
            [sys.executable, "-m", "qcompare", "--dtype", "float32", asked, *more],
            capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path} | environment,
        )  # fmt: skip

    return run


def test_a_study_with_a_server_beside_the_baseline(
    tiny_llama: Path, server: Server, settings: Settings, run: Any, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The capital of France is Paris, and it is famous for the Eiffel Tower. " * 20)
    held_out = {"text": str(text), "num_samples": 2, "max_seq_length": 64}
    server.behaviour.key, server.behaviour.parrot = KEY, True
    row = {"api_key_env": "A_KEY", "title": "At work"}
    done = run(study(tiny_llama, server.url, row=row, divergence=held_out), A_KEY=KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    store = Store(settings.home)
    comparison = read_comparison(store, (store.newest(),))
    direct, served = comparison.rows
    assert (direct.group, served.group, str(served.title)) == (0, 0, "At work")
    assert served.task("toy") == direct.task("toy")
    assert served.versus_bf16 and served.versus_bf16.task("toy").lost == 0
    assert direct.divergence and (served.bits, served.size_bytes, served.divergence) == (None, None, None)
    assert served.served and served.served.url == server.url
    assert [speed.batch for speed in served.served.speeds] == [1, 8]
    results = {result.recipe: result for result in store.results(comparison.study_ids[0])}
    assert results["endpoint"].environment.dtype == "unknown"
    assert results["endpoint"].generations[0].text.startswith(results["bf16"].generations[0].text[:20])
    texts = [render(comparison, format) for format in FORMATS] + [table_html(comparison), *caveats(comparison)]
    assert all("tokens/s" in text for text in (texts[0], texts[3], table_html(comparison)))
    assert any("what weights it holds is not known" in note for note in caveats(comparison))
    held = [path for path in settings.home.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert held == [] and KEY not in done.stdout + done.stderr + "".join(texts)
    assert any(b"Bearer ***" in path.read_bytes() for path in settings.home.rglob("result.json"))  # it was repeated


def test_a_server_without_logprobs_stands_apart_and_says_why(
    tiny_llama: Path, server: Server, settings: Settings, run: Any
) -> None:
    server.behaviour.logprobs = False
    assert run(study(tiny_llama, server.url)).returncode == 0
    store = Store(settings.home)
    comparison = read_comparison(store, (store.newest(),))
    served = comparison.rows[1]
    assert (served.group, [score.task for score in served.tasks]) == (1, ["toy_written"])
    assert served.task("toy_written") == comparison.rows[0].task("toy_written")
    said = " ".join(caveats(comparison))
    assert "did not answer toy: the server gives no log-probabilities of prompts" in said
    assert "Not compared" in said


def _requests_without_questions(server: Server, folder: Path, home: Path) -> int:
    """To find out what it can, and to measure its speed."""
    options = Options(limit=None, batch_size=1, add_bos_token=None, seed=42)
    home.mkdir(exist_ok=True)
    lm = EndpointLM(Client(server.url), None, folder, options, 1, None, home / "other.sqlite")
    measure_speed(lm)
    lm.close()
    return server.behaviour.requests


def test_a_row_whose_server_fails_goes_on_where_it_was(
    tiny_llama: Path, server: Server, settings: Settings, run: Any
) -> None:
    values = study(tiny_llama, server.url, row={"num_concurrent": 1}, tasks=["toy"], prompts=[])
    values["recipes"] = values["recipes"][1:]
    before_the_questions = _requests_without_questions(server, tiny_llama, settings.home)
    server.behaviour.statuses = [0] * (before_the_questions + 3) + [400]
    done = run(values)
    assert done.returncode == 1
    assert "the server refuses or fails (HTTP 400: " in done.stdout + done.stderr
    store = Store(settings.home)
    (job,) = store.jobs(store.newest())
    assert run("resume", job.study_id).returncode == 0
    wait(store, job.study_id)
    (found,) = store.results(job.study_id)
    assert 3 <= found.reused_requests < 8
    assert found.tasks[0].n == 4


def test_it_can_be_submitted(tiny_llama: Path, server: Server, settings: Settings) -> None:
    with pytest.raises(InvalidStudy, match="nothing answers there"):
        submit(Study(model=str(tiny_llama), recipes=(Endpoint(url="http://127.0.0.1:9/v1"),)), settings)
