"""A server of the tests' own, and what qcompare asks of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qcompare.evaluate.benchmarks import Options
from qcompare.evaluate.endpoint import client as client_module
from qcompare.evaluate.endpoint.client import Client
from qcompare.evaluate.scoring.endpoint import EndpointLM
from tests.evaluate.endpoint.completions_server import Behaviour, Server, serve


@pytest.fixture(scope="session")
def running(tiny_llama: Path) -> Iterator[Server]:
    with serve(tiny_llama) as found:
        yield found


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server of the session, well-behaved at first; tries follow each other at once."""
    running.behaviour = Behaviour()
    monkeypatch.setattr(client_module, "WAIT_SECONDS", 0.01)
    return running


@pytest.fixture
def connect(server: Server, tiny_llama: Path, tmp_path: Path) -> Iterator[Callable[..., EndpointLM]]:
    """Make an lm-eval model of the server: `connect(num_concurrent=1)`."""
    clients: list[Client] = []

    def make(timeout: float = 20.0, key: str | None = None, options: Any = {}, **changes: Any) -> EndpointLM:  # noqa: B006
        values: dict[str, Any] = {
            "model": None, "folder": tiny_llama, "num_concurrent": 4, "max_length": None,
            "kept": tmp_path / "answers.sqlite",
        }  # fmt: skip
        asked = Options(limit=None, batch_size=1, add_bos_token=None, seed=42, **options)
        clients.append(Client(server.url, key, "A_KEY" if key else None, timeout))
        return EndpointLM(clients[-1], options=asked, **(values | changes))

    yield make
    for client in clients:
        client.close()
