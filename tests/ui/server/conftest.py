"""The whole app as a web application, without a network."""

import asyncio
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from gradio.routes import App

from qcompare.settings import Settings
from qcompare.ui.app import build_app
from qcompare.ui.launch import server_kwargs
from qcompare.ui.server.roles import Right
from qcompare.ui.server.users import write_user
from qcompare.ui.theme import make_theme

with warnings.catch_warnings():  # it wants another version of httpx
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

PASSWORD = "correct horse battery"
Client = Callable[..., TestClient]


class Served:
    """An app, and clients that are browsers of its own page."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # without a running loop gradio makes some, and leaves them open; this thread may have Playwright's
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, self._build()).result()

    async def _build(self) -> None:
        self.blocks = build_app(self.settings)
        self.blocks.show_error, self.blocks.css_paths, self.blocks.head_paths = False, [], []
        self.blocks.has_launched = True  # until then gradio takes in any file that a call names
        self.blocks.theme = make_theme()
        self.blocks._set_html_css_theme_variables()
        self.blocks.config = self.blocks.get_config_file()
        self.blocks.max_file_size = self.settings.upload_mb * 1_000_000  # as `launch` sets it
        kwargs = server_kwargs(self.settings, self.blocks)
        self.app = App.create_app(self.blocks, app_kwargs=kwargs)

    def client(self, name: str = "", **options: Any) -> TestClient:
        """A visitor; logged in where a name is given."""
        found = TestClient(self.app, "http://127.0.0.1:7860", follow_redirects=False, **options)
        if name:
            answer = found.post("/login", data={"name": name, "password": PASSWORD})
            assert answer.status_code == 303, answer.text
        return found

    def press(self, client: TestClient, handler: str, *data: Any, event: Any = None) -> Any:
        """Call a handler of the screen by its name, as the page's script does; unqueued."""
        found = [
            each for each in self.blocks.fns.values() if getattr(each.fn, "__qualname__", "").startswith(handler)
        ]
        assert found, handler
        body = {"fn_index": found[0]._id, "data": list(data), "session_hash": f"s{id(client)}", "event_data": event}
        return client.post("/gradio_api/run/predict", json=body)


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """alice may do everything, bob may launch, carol may read."""
    return write_users(tmp_path / "users.yaml")


def write_users(path: Path) -> Path:
    """The users of these tests."""
    write_user(path, "alice", PASSWORD, Right)
    write_user(path, "bob", PASSWORD, [Right.LAUNCH])
    write_user(path, "carol", PASSWORD, [])
    return path


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A team's server."""
    return _served(tmp_path_factory, role="team")


@pytest.fixture(scope="module")
def exhibition(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """An exhibition."""
    return _served(tmp_path_factory, role="exhibition", ask_per_hour=2)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A workstation's app."""
    return _served(tmp_path_factory)


def _served(folders: pytest.TempPathFactory, **changes: Any) -> Served:
    folder = folders.mktemp("served")
    if "role" in changes:
        changes["users"] = write_users(folder / "users.yaml")
    return Served(Settings(home=folder / "home", offline=True, **changes))
