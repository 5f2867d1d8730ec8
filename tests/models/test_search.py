"""The hub searched by name, and the models of the cache. A process of its own asks: see `test_hub`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.models.hub_server import serve_hub

ASK = """
import json, sys, time
from dataclasses import asdict
from qcompare.errors import ModelUnavailable
from qcompare.models.search import cached_models, search_checkpoints, search_hub
from qcompare.models.sources import fetch
from qcompare.settings import Settings
if sys.argv[1] == "checkpoints":
    found = search_checkpoints(sys.argv[2], sys.argv[3], Settings())
    print(json.dumps({"found": [asdict(model) for model in found]}))
    sys.exit()
if len(sys.argv) > 2:
    fetch(sys.argv[2], Settings())
began = time.monotonic()
try:
    found = [asdict(model) for model in search_hub(sys.argv[1], Settings())]
except ModelUnavailable as error:
    found = str(error)
cached = [asdict(model) for model in cached_models(sys.argv[1])]
print(json.dumps({"found": found, "cached": cached, "seconds": time.monotonic() - began}))
"""

Ask = Callable[..., dict[str, object]]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """`ask(endpoint, text, [model to fetch first])` in a fresh process with an empty Hugging Face cache."""

    def run(endpoint: str, *words: str, **environment: str) -> dict[str, object]:
        known = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1"}
        known |= {"HF_HUB_DISABLE_XET": "1", "QCOMPARE_OFFLINE": "false", "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", ASK, *words],
            env=os.environ | known | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        return answer

    return run


def names(models: object) -> list[str]:
    assert isinstance(models, list), models
    return [model["name"] for model in models]


def test_models_that_can_be_compared_are_found_by_name_the_most_used_first(ask: Ask, tiny_llama: Path) -> None:
    with serve_hub("org/tiny", tiny_llama) as endpoint:
        all_of_them, some = ask(endpoint, ""), ask(endpoint, "TINY@main")
    assert names(all_of_them["found"]) == ["org/tiny", "other/large"]  # neither quantized nor pickled ones
    (model,) = some["found"]  # type: ignore[misc]
    assert model == {"name": "org/tiny", "downloads": 1_200_000, "num_params": 134_515_008, "size_bytes": None}
    assert some["cached"] == []


def test_a_fetched_model_is_offered_also_without_a_hub(ask: Ask, tiny_llama: Path) -> None:
    with serve_hub("org/tiny", tiny_llama) as endpoint:
        assert names(ask(endpoint, "ti", "org/tiny")["cached"]) == ["org/tiny"]
    absent = ask("http://127.0.0.1:9", "ti")
    assert absent["found"] == "The hub cannot be reached now. Folders and the demo work."
    assert names(absent["cached"]) == ["org/tiny"]
    assert names(ask("http://127.0.0.1:9", "something else")["cached"]) == []


def test_a_hub_that_does_not_answer_is_given_up_soon(ask: Ask) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        answer = ask(f"http://127.0.0.1:{silent.getsockname()[1]}", "ti")
    assert "cannot be reached" in str(answer["found"])
    assert float(str(answer["seconds"])) < 6 and time.monotonic() - began < 60


def test_offline_does_not_even_ask(ask: Ask, tiny_llama: Path) -> None:
    with serve_hub("org/tiny", tiny_llama) as endpoint:
        assert "switched off" in str(ask(endpoint, "ti", QCOMPARE_OFFLINE="true")["found"])


def test_quantized_versions_of_a_model_are_found(ask: Ask, tiny_llama: Path) -> None:
    with serve_hub("quant/tiny-GGUF", tiny_llama) as endpoint:
        assert names(ask(endpoint, "checkpoints", "org/tiny", "")["found"]) == ["quant/tiny-GPTQ", "quant/tiny-GGUF:"]
        assert names(ask(endpoint, "checkpoints", "org/tiny", "gptq")["found"]) == ["quant/tiny-GPTQ"]
        without_model = names(ask(endpoint, "checkpoints", "", "large")["found"])
        assert without_model == ["quant/large-GGUF:"]


def test_the_files_of_a_gguf_repository_are_listed_smallest_first(ask: Ask, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    for name, size in (("a-Q8_0.gguf", 800), ("a-Q4_0.gguf", 400), ("README.md", 10)):
        (repo / name).write_bytes(b"x" * size)
    with serve_hub("quant/tiny-GGUF", repo) as endpoint:
        found = ask(endpoint, "checkpoints", "org/tiny", "quant/tiny-GGUF:")["found"]
        assert names(found) == ["quant/tiny-GGUF:a-Q4_0.gguf", "quant/tiny-GGUF:a-Q8_0.gguf"]
        assert names(ask(endpoint, "checkpoints", "org/tiny", "no/such:")["found"]) == []
