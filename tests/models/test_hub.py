"""Models on a hub: facts from metadata, files in the cache, and every refusal in one line.

A process of its own asks a hub on this machine: the client reads its endpoint once, at import.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qcompare.models.sources import describe
from qcompare.settings import Settings
from tests.models.hub_server import COMMIT, serve_hub
from tests.tiny import write_gguf

ASK = """
import json, sys
from qcompare.errors import ModelUnavailable
from qcompare.models.sources import describe, fetch
from qcompare.settings import Settings
if sys.argv[1] == "checkpoint":
    from qcompare.models.checkpoint import describe_checkpoint, fetch_checkpoint
    base = describe(sys.argv[3], Settings())
    try:
        early = describe_checkpoint(sys.argv[2], base, Settings())
        found = fetch_checkpoint(sys.argv[2], base, Settings(), lambda text: None)
        print(json.dumps({"early": [early.revision, early.stored.size_bytes], "path": str(found.path),
                          "revision": found.revision, "method": found.description, "size": found.stored.size_bytes,
                          "by": [found.author, found.license], "torch": "torch" in sys.modules}))
    except ModelUnavailable as error:
        print(json.dumps({"error": str(error)}))
    sys.exit()
try:
    facts = describe(sys.argv[2], Settings())
    found = {"license": facts.license, "title": facts.title, "source": facts.source, "size": facts.size_bytes,
             "params": facts.num_params, "layers": [l.name for l in facts.layers]}
    if sys.argv[1] == "fetch":
        local = fetch(sys.argv[2], Settings())
        found |= {"path": str(local.path), "revision": local.revision}
    print(json.dumps(found | {"torch": "torch" in sys.modules}))
except ModelUnavailable as error:
    print(json.dumps({"error": str(error)}))
"""

Ask = Callable[..., dict[str, object]]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """`ask("describe", model, endpoint)` in a fresh process with an empty Hugging Face cache."""

    def run(what: str, model: str, endpoint: str, *more: str, **environment: str) -> dict[str, object]:
        known = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1"}
        known |= {"HF_HUB_DISABLE_XET": "1", "QCOMPARE_OFFLINE": "false", "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", ASK, what, model, *more],
            env=os.environ | known | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        assert "\n" not in str(answer.get("error", ""))
        return answer

    return run


def test_facts_come_from_metadata_and_files_from_the_cache_once_fetched(
    ask: Ask, tiny_llama: Path, settings: Settings
) -> None:
    local = describe(str(tiny_llama), settings)
    with serve_hub("org/tiny", tiny_llama) as endpoint:
        facts = ask("describe", "org/tiny", endpoint)
        fetched = ask("fetch", "org/tiny@main", endpoint)
    assert facts["layers"] == [layer.name for layer in local.layers]
    assert (facts["params"], facts["size"]) == (local.num_params, local.size_bytes)
    assert (facts["license"], facts["title"], facts["source"], facts["torch"]) == ("mit", "tiny", "hub", False)
    assert fetched["revision"] == COMMIT
    names = {p.name for p in Path(str(fetched["path"])).iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= names
    again = ask("fetch", "org/tiny@main", endpoint)  # the server is gone: the cache serves
    assert again["path"] == fetched["path"] and again["layers"] == facts["layers"]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("org/other", "no such model on the hub"),
        ("org/tiny@nonsense", "has no such revision"),
    ],
)
def test_what_the_hub_does_not_have_is_one_line(ask: Ask, tiny_llama: Path, model: str, said: str) -> None:
    with serve_hub("org/tiny", tiny_llama) as endpoint:
        assert said in str(ask("describe", model, endpoint)["error"])


def test_a_gated_model_says_how_to_get_access(ask: Ask, tiny_llama: Path) -> None:
    with serve_hub("org/tiny", tiny_llama, gated=True) as endpoint:
        assert "is gated; accept its terms" in str(ask("describe", "org/tiny", endpoint)["error"])


def test_pickled_weights_on_the_hub_are_refused(ask: Ask, tiny_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_bytes((tiny_llama / "config.json").read_bytes())
    (folder / "pytorch_model.bin").write_bytes(b"x")
    with serve_hub("org/tiny", folder) as endpoint:
        assert "only pickled weights" in str(ask("describe", "org/tiny", endpoint)["error"])


def test_code_that_a_tokenizer_brings_along_is_refused_before_weights_are_fetched(
    ask: Ask, tiny_llama: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "with code")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"auto_map": {"AutoTokenizer": ["t.T", None]}}))
    with serve_hub("org/tiny", folder) as endpoint:
        assert "tokenizer_config.json names code" in str(ask("fetch", "org/tiny", endpoint)["error"])
        allowed = ask("describe", "org/tiny", endpoint, QCOMPARE_TRUST_REMOTE_CODE="true")
    assert allowed["layers"]


def test_an_absent_hub_says_so_and_offers_the_demo(ask: Ask) -> None:
    error = str(ask("describe", "org/tiny", "http://127.0.0.1:9")["error"])
    assert "the hub is not reachable" in error and "'demo'" in error


def test_offline_does_not_even_ask(ask: Ask, tiny_llama: Path) -> None:
    with serve_hub("org/tiny", tiny_llama) as endpoint:
        assert "set to offline" in str(ask("describe", "org/tiny", endpoint, QCOMPARE_OFFLINE="true")["error"])


def test_a_checkpoint_on_the_hub_is_described_then_fetched(ask: Ask, tiny_llama: Path) -> None:
    with serve_hub("org/tiny-bf16", tiny_llama) as endpoint:
        found = ask("checkpoint", "org/tiny-bf16", endpoint, str(tiny_llama))
    assert found["early"] == ["", (tiny_llama / "model.safetensors").stat().st_size]
    assert (found["revision"], found["by"], found["torch"]) == (COMMIT, ["org", "mit"], False)
    assert Path(str(found["path"]), "model.safetensors").exists()


def test_one_gguf_file_of_a_repository_is_fetched(ask: Ask, tiny_llama: Path, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    file = write_gguf(repo / "tiny-Q8_0.gguf", tiny_llama, "Q8_0")
    shutil.copy(file, repo / "tiny-Q4_0.gguf")
    with serve_hub("org/tiny-GGUF", repo) as endpoint:
        found = ask("checkpoint", "org/tiny-GGUF:tiny-Q8_0.gguf", endpoint, str(tiny_llama))
        assert (found["revision"], found["method"], found["size"]) == (COMMIT, "GGUF Q8_0", file.stat().st_size)
        missing = ask("checkpoint", "org/tiny-GGUF:tiny-Q5_0.gguf", endpoint, str(tiny_llama))
        assert "has no file tiny-Q5_0.gguf; it has tiny-Q4_0.gguf, tiny-Q8_0.gguf" in str(missing["error"])
        several = ask("checkpoint", "org/tiny-GGUF", endpoint, str(tiny_llama))
        assert "name one, such as org/tiny-GGUF:tiny-Q4_0.gguf" in str(several["error"])
    offline = ask("checkpoint", "org/tiny-GGUF:tiny-Q8_0.gguf", endpoint, str(tiny_llama), QCOMPARE_OFFLINE="true")
    assert offline["method"] == "GGUF Q8_0"
