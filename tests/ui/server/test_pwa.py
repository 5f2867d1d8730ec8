"""What browsers need to install the app, and what they are not given."""

import io
import re

import pytest
from PIL import Image

from qcompare.settings import Settings
from qcompare.ui.server.pwa import pwa_head
from tests.ui.server.conftest import Served


def test_the_manifest_has_what_installing_needs(local: Served) -> None:
    answer = local.client().get("/manifest.json")
    assert answer.headers["content-type"] == "application/manifest+json"
    found = answer.json()
    assert found["name"] == found["short_name"] == "qcompare"
    assert (found["start_url"], found["scope"], found["display"]) == ("./", "./", "standalone")
    for colour in ("theme_color", "background_color"):
        assert re.fullmatch(r"#[0-9a-f]{6}", found[colour])
    assert {(icon["sizes"], icon["purpose"]) for icon in found["icons"]} == {
        ("192x192", "any"), ("512x512", "any"), ("512x512", "maskable"),
    }  # fmt: skip
    for icon in found["icons"]:
        assert not icon["src"].startswith(("/", "http"))  # holds behind a proxy's path too
        file = local.client().get(f"/{icon['src']}")
        assert file.headers["content-type"] == icon["type"] == "image/png"
        image = Image.open(io.BytesIO(file.content))
        assert f"{image.width}x{image.height}" == icon["sizes"]
        corner = image.convert("RGBA").getpixel((0, 0))
        assert isinstance(corner, tuple) and corner[3] == (255 if icon["purpose"] == "maskable" else 0)


def test_the_manifest_is_in_the_visitor_s_language(local: Served) -> None:
    assert local.client().get("/manifest.json?lang=zh").json()["lang"] == "zh"
    assert local.client().get("/manifest.json").json()["lang"] == "en"


@pytest.mark.parametrize("kind", ["1", "511", "20000", "999999999", "-1", "0", "192/2", "x", "..%2f..%2fapp.py", ""])
def test_icons_of_other_sizes_are_not_made(exhibition: Served, kind: str) -> None:
    assert exhibition.client().get(f"/pwa_icon/{kind}").status_code == 404


def test_all_of_it_is_open_before_a_login_and_nothing_else(team: Served) -> None:
    for path in ("/manifest.json", "/pwa_icon", "/pwa_icon/192", "/pwa_icon/maskable", "/service-worker.js"):
        answer = team.client().get(path)
        assert answer.status_code == 200, path
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert team.client().get("/config").status_code == 401


def test_the_service_worker_keeps_nothing(local: Served) -> None:
    answer = local.client().get("/service-worker.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "no-cache"
    assert "qcompare app" in answer.text and "UNREACHABLE_PAGE" not in answer.text
    assert "caches" not in answer.text and "indexedDB" not in answer.text


def test_a_space_registers_no_service_worker(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "service-worker.js" in pwa_head() and "theme-color" in pwa_head()
    monkeypatch.setenv("SPACE_ID", "org/name")
    assert "service-worker.js" not in pwa_head() and "theme-color" in pwa_head()
