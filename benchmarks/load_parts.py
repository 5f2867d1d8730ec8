"""Parts of `benchmarks.load`: visitors whose prompts a model answers, malformed requests, a long day of ticks."""

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
from filelock import FileLock
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from benchmarks.report import Cell
from benchmarks.serving import serve
from benchmarks.watchers import Page
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job, Progress
from qcompare.study.spec import Study
from qcompare.study.stage import Stage
from tests.synthetic import add_study, finished_study, run_job
from tests.tiny import make_model_folder, make_tokenizer
from tests.ui.server import malformed
from tests.ui.server.conftest import Served
from tests.ui.server.ticks import tick_through

ANSWER_SECONDS = 900.0


def asked_turns(askers: int) -> list[dict[str, Cell]]:
    """Visitors of an exhibition ask at the same moment, the first of them three prompts: who is answered when."""
    demo = Path(os.environ.get("QCOMPARE_BUNDLE_DIR") or "~/.cache/qcompare-demo").expanduser()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # the supervisor ends some seconds later
        home = Path(folder) / "home"
        here = (demo / "model").is_dir() or any(demo.glob("*/config.json"))
        model = "demo" if here else str(make_model_folder(
            Path(folder) / "tiny", make_tokenizer(Path(folder) / "tokenizer"), "LlamaConfig"
        ))  # fmt: skip
        study = finished_study(home, Study(model=model, recipes=("bf16", "uniform"), prompts=("Hello",)))
        settings = {"QCOMPARE_ROLE": "exhibition", "QCOMPARE_ASK_WAITING": "100", "QCOMPARE_RECORDING": "false"}
        settings |= {"QCOMPARE_BUNDLE_DIR": str(demo), "QCOMPARE_ASK_PER_HOUR": "100"}
        with serve(home, root=None, **settings) as (address, _):
            visitors = [_visitor(address) for _ in range(askers)]
            for visitor in [visitors[0], visitors[0], *visitors]:
                _ask(visitor, study.id)
            store = Store(home)
            _until(lambda: all(each.status.ended for each in store.studies()))
            jobs = sorted((job for job in store.jobs() if job.study_id != study.id), key=lambda job: job.started or 0)
        owners = {each.id: each.owner for each in store.studies()}
        turns = [owners[study_id] for study_id in dict.fromkeys(job.study_id for job in jobs)]
        begins = [wait for job in jobs if (wait := _begins_to_answer(store, job)) is not None]
        failed = sum(each.status.value != "success" for each in store.studies())
    name = "demo model" if here else "tiny model"
    return [
        _row(f"{askers} askers, {name}: prompts that failed", failed, 0),
        _row("turns of others between the first visitor's first and second", turns[1:].index(turns[0]), None),
        _row("from the begin of a turn until it answers, median s", sorted(begins)[len(begins) // 2], 2),
        _row("from the begin of a turn until it answers, longest s", max(begins), 2),
        _row("a job in all, median s", sorted(_took(job) for job in jobs)[len(jobs) // 2], None),
    ]


def _visitor(address: str) -> httpx.Client:
    client = httpx.Client(base_url=address, timeout=120)
    config = client.get("/config").json()
    found = [each for each in config["dependencies"] if each["api_name"].startswith("start")]
    client.headers["x-handler"] = str(next(each["id"] for each in found if len(each["inputs"]) == 4))
    return client


def _ask(client: httpx.Client, study: str) -> None:
    page = f"asks{id(client)}"
    for call in Page(client, study, page).calls("generations", study):  # what can be chosen from
        call()
    data = [study, "What is the capital of France?", "", ["0", "1"]]
    body = {"fn_index": int(client.headers["x-handler"]), "data": data, "session_hash": page}
    client.post("/gradio_api/queue/join", json=body).raise_for_status()
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": page}) as answer:
        for line in answer.iter_lines():
            if "close_stream" in line:
                return


def _begins_to_answer(store: Store, job: Job) -> float | None:
    """Seconds from the begin of a job to that of its generation, when the model is loaded."""
    lines = store.folder(job.id).events.read_text(encoding="utf-8").splitlines()
    times = [each.time for each in map(Progress.model_validate_json, lines) if each.stage == Stage.GENERATING]
    return times[0] - job.started if times and job.started else None


def _took(job: Job) -> float:
    return (job.finished or 0) - (job.started or 0)


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + ANSWER_SECONDS
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("the prompts are not answered")
        time.sleep(0.5)


def malformed_requests(count: int) -> list[dict[str, Cell]]:
    """So many requests of all kinds, and how many were answered wrongly."""
    wrong: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        served = Served(Settings(home=Path(folder) / "home", offline=True))
        home = served.settings.home
        home.mkdir(exist_ok=True)
        with FileLock(home / "supervisor.lock"):
            study = finished_study(home).id
            client = served.client(raise_server_exceptions=False)
            began = time.monotonic()

            def look(answer: Any, sent: object) -> None:
                for problem in malformed.problems_of(answer, home, repr(sent)):
                    wrong[problem] += 1
                    print(problem, repr(sent)[:300], answer.text[:200], file=sys.stderr)

            def call(found: tuple[str, bytes]) -> None:
                look(client.post(f"/gradio_api/{found[0]}", content=found[1], headers=JSON), found)

            def rpc(message: bytes) -> None:
                look(client.post("/mcp", content=message), message)

            def upload(form: tuple[bytes, str]) -> None:
                kind = {"content-type": form[1]}
                look(client.post("/gradio_api/upload", content=form[0], headers=kind), form)

            def read(path: str, headers: dict[str, bytes]) -> None:
                look(client.get(path, headers=headers), (path, headers))

            parts = 10
            _send(count * 5 // parts, malformed.handler_calls(served, [study]), call)
            _send(count * 2 // parts, malformed.rpc, rpc)
            _send(count * 2 // parts, st.tuples(malformed.addresses([study]), malformed.headers), lambda x: read(*x))
            _send(count * 1 // parts, malformed.forms, upload)
            took = time.monotonic() - began
    return [
        _row(f"{count} malformed requests: answers with a 500", wrong_of(wrong, "status"), 0),
        _row(f"{count} malformed requests: answers with a path, a token or a traceback", wrong_of(wrong, "says"), 0),
        _row(f"{count} malformed requests: seconds", took, None),
    ]


JSON = {"content-type": "application/json"}


def wrong_of(wrong: Counter[str], kind: str) -> int:
    """How many problems are of a kind."""
    return sum(number for problem, number in wrong.items() if problem.startswith(kind))


def _send(count: int, strategy: st.SearchStrategy[Any], act: Callable[[Any], None]) -> None:
    limits = hypothesis_settings(
        max_examples=count, deadline=None, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    limits(given(strategy)(act))()


def memory_of_ticks(ticks: int) -> list[dict[str, Cell]]:
    """The process's memory while a page follows a running study for so many seconds."""
    sizes: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        served = Served(Settings(home=Path(folder) / "home", offline=True))
        store = Store(served.settings.home)
        job = store.jobs(add_study(store).id)[0].id
        run_job(store, job)
        marks = {ticks * part // 8 for part in range(1, 9)}

        def note(tick: int) -> None:
            if tick + 1 in marks:
                sizes.append(psutil.Process().memory_info().rss / 1e6)

        began = time.process_time()
        tick_through(served, store, job, ticks, note)
        took = time.process_time() - began
    return [
        _row(f"{ticks} ticks: memory after an eighth, MB", sizes[0], None),
        _row(f"{ticks} ticks: memory after half, MB", sizes[3], None),
        _row(f"{ticks} ticks: memory at the end, MB", sizes[-1], sizes[3] * 1.02),
        _row(f"{ticks} ticks: processor ms per tick", 1000 * took / ticks, None),
    ]


def _row(what: str, found: Cell, most: Cell) -> dict[str, Cell]:
    return {"what": what, "found": found, "at most": most}
