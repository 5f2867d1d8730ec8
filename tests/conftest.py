"""Fixtures shared by all tests: a home of one's own, tiny model folders made on the spot, the demo bundle.

Tests marked `demo` share one bundle between runs: `$QCOMPARE_BUNDLE_DIR`, or `~/.cache/qcompare-demo`.
"""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from qcompare.settings import Settings
from qcompare.study.task import TASKS
from tests.tiny import make_model_folder, make_tokenizer, quantize
from tests.toys import install_toy_task

hypothesis.settings.register_profile("any machine", deadline=None)  # a busy one is no failure
hypothesis.settings.load_profile("any machine")

SHARED_BUNDLE = Path(os.environ.get("QCOMPARE_BUNDLE_DIR") or "~/.cache/qcompare-demo").expanduser()


@pytest.fixture(scope="module", autouse=True)
def cheap_collections() -> None:
    """Keep what is alive between modules out of garbage collection.

    auto-round and llm-compressor collect at every layer, and each time would walk through all libraries' objects:
    a second and more in a process that has run for long.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of this test's own; no setting leaks in from the machine, and no test asks a hub."""
    for name in os.environ:
        if name.startswith("QCOMPARE_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("QCOMPARE_HOME", str(folder))
    monkeypatch.setenv("QCOMPARE_OFFLINE", "true")
    monkeypatch.setenv("QCOMPARE_BROWSER", "false")
    return folder


@pytest.fixture
def settings(home: Path) -> Settings:
    """Settings of the test's home: offline, everything else at its default."""
    return Settings()


@pytest.fixture
def demo_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of the test's home, with the shared demo bundle, fetched first if it is missing."""
    from qcompare.demo.bundle import ensure_bundle

    monkeypatch.setenv("QCOMPARE_BUNDLE_DIR", str(SHARED_BUNDLE))
    settings = Settings()
    ensure_bundle(settings, print)
    return settings


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer of 512 tokens with a chat template: any text can be encoded."""
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def make_model(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a tiny model folder: `make_model("LlamaConfig", num_hidden_layers=2)`."""

    def make(config_class: str, **changes: Any) -> Path:
        name = "tiny-" + config_class.removesuffix("Config").lower()
        return make_model_folder(tmp_path_factory.mktemp("models") / name, tokenizer_folder, config_class, **changes)

    return make


@pytest.fixture(scope="session")
def tiny_llama(make_model: Callable[..., Path]) -> Path:
    """Folder of a random Llama: 4 blocks of 7 linear layers, 64×64, 32×64, 128×64 and 64×128; untied head."""
    return make_model("LlamaConfig")


@pytest.fixture(scope="session")
def tiny_qwen3(make_model: Callable[..., Path]) -> Path:
    """Folder of a random Qwen3: head_dim 32, so 128×64 queries; norms on queries and keys; tied head."""
    return make_model("Qwen3Config", head_dim=32, tie_word_embeddings=True)


@pytest.fixture(scope="session")
def tiny_gemma(make_model: Callable[..., Path]) -> Path:
    """Folder of a random Gemma 3 (text): head_dim 32, four norms a block, sliding windows, tied head."""
    return make_model("Gemma3TextConfig", head_dim=32, sliding_window=64)


@pytest.fixture
def toy_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package that offers the task `toy` (4 questions) through an entry point."""
    install_toy_task(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    TASKS.__dict__.pop("_found", None)  # what a registry found is kept for the process
    yield
    TASKS.__dict__.pop("_found", None)


@pytest.fixture(scope="session")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Have auto-round write a checkpoint, plainly rounded, once per session: `quantized(model, "W4A16", "auto_gptq")`
    gives its folder, or its file for GGUF."""
    made: dict[tuple[object, ...], Path] = {}

    def make(model: Path, scheme: str, format: str, **options: Any) -> Path:
        key = (model, scheme, format, *options.items())
        if key not in made:
            made[key] = quantize(model, scheme, format, tmp_path_factory.mktemp("quantized"), **options)
        return made[key]

    return make
