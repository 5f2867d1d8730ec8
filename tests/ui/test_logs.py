"""The addresses of logs, as the page asks them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from starlette.applications import Starlette

from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.ui.progress.logs import log_routes
from tests.synthetic import add_study, run_job

Get = Callable[[str], httpx.Response]


@pytest.fixture
def job_id(settings: Settings) -> str:
    store = Store(settings.home)
    job_id = store.jobs(add_study(store).id)[0].id
    run_job(store, job_id)
    return job_id


@pytest.fixture
def get(settings: Settings) -> Get:
    app = Starlette(routes=log_routes(Store(settings.home)))

    async def ask(address: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
            return await client.get(address)

    # in a thread: playwright's loop runs in this one, when tests with a browser came before
    thread = ThreadPoolExecutor(1)
    return lambda address: thread.submit(asyncio.run, ask(address)).result()


def test_a_log_is_saved_whole_under_the_name_of_its_job(get: Get, job_id: str) -> None:
    answer = get(f"/log/{job_id}")
    assert answer.text.splitlines()[-1] == "line 59: scoring hellaswag"
    assert f'filename="{job_id}.log.txt"' in answer.headers["content-disposition"]


def test_the_page_asks_only_for_what_is_new(get: Get, job_id: str, settings: Settings) -> None:
    first = get(f"/log/{job_id}?from=0").json()
    assert first["lines"].count("\n") == 60
    with Store(settings.home).folder(job_id).log.open("a") as log:
        log.write("news\n")
    assert get(f"/log/{job_id}?from={first['next']}").json()["lines"] == "news\n"


def test_words_are_searched_in_the_whole_log(get: Get, job_id: str) -> None:
    assert get(f"/log/{job_id}?find=LINE 7:").json()["lines"] == ["line 7: scoring hellaswag"]


@pytest.mark.parametrize("name", ["nothing", "..%2F..%2Findex.sqlite", "..", "%2Fetc%2Fpasswd", "<img src=x>"])
def test_no_other_file_can_be_asked_for(get: Get, job_id: str, name: str) -> None:
    answer = get(f"/log/{name}")
    assert answer.status_code == 404
    assert "text/html" not in answer.headers["content-type"]


def test_a_job_that_has_printed_nothing_has_an_empty_log(get: Get, settings: Settings) -> None:
    store = Store(settings.home)
    waiting = store.jobs(add_study(store).id)[1].id
    assert get(f"/log/{waiting}").content == b""
    assert get(f"/log/{waiting}?from=junk").json()["size"] == 0
