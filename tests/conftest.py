"""Fixtures shared by all tests: a home of one's own, tiny model folders made on the spot, the demo bundle.

Tests marked `demo` share one bundle between runs: `$QCOMPARE_BUNDLE_DIR`, or `~/.cache/qcompare-demo`.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcompare.settings import Settings

SHARED_BUNDLE = Path(os.environ.get("QCOMPARE_BUNDLE_DIR") or "~/.cache/qcompare-demo").expanduser()

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXTS = (
    "The capital of France is Paris, and it is famous for the Eiffel Tower.",
    "Question: how do you keep bread fresh?\nAnswer: put it in a bag, then in a box.",
    "Sarah was a much better surgeon than Maria so she always got the easier cases.",
    "Explain to a child why the sky is blue: light is scattered by the air.",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of this test's own; no setting leaks in from the machine, and no test asks a hub."""
    for name in os.environ:
        if name.startswith("QCOMPARE_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("QCOMPARE_HOME", str(folder))
    monkeypatch.setenv("QCOMPARE_OFFLINE", "true")
    return folder


@pytest.fixture
def settings(home: Path) -> Settings:
    """Settings of the test's home: offline, everything else at its default."""
    return Settings()


@pytest.fixture
def demo_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of the test's home, with the shared demo bundle, fetched first if it is missing."""
    from qcompare.models.bundle import ensure_bundle

    monkeypatch.setenv("QCOMPARE_BUNDLE_DIR", str(SHARED_BUNDLE))
    settings = Settings()
    ensure_bundle(settings, print)
    return settings


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer of 512 tokens with a chat template: any text can be encoded."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=512, special_tokens=special, initial_alphabet=alphabet, min_frequency=1, show_progress=False
    )
    bpe.train_from_iterator(TEXTS, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<|endoftext|>", eos_token="<|im_end|>", model_max_length=512
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    return folder


def _make_model(folder: Path, tokenizer_folder: Path, config_class: str, **changes: Any) -> Path:
    """Save a random model: 4 blocks, hidden size 64, all widths multiples of 32, float32 weights."""
    import torch
    import transformers

    shape = {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "initializer_range": 0.2,
    }
    torch.manual_seed(0)
    config = getattr(transformers, config_class)(**(shape | changes))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_folder)
    transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_model(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a tiny model folder: `make_model("LlamaConfig", num_hidden_layers=2)`."""

    def make(config_class: str, **changes: Any) -> Path:
        name = "tiny-" + config_class.removesuffix("Config").lower()
        return _make_model(tmp_path_factory.mktemp("models") / name, tokenizer_folder, config_class, **changes)

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
