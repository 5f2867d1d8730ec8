"""Reloaded checkpoints: what makes them fast leaves every value as it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from qcompare.models.checkpoint import fetch_checkpoint
from qcompare.models.checkpoint_loading import load_checkpoint
from qcompare.models.facts import LocalModel
from qcompare.models.sources import describe
from qcompare.quantize.reloaded import speed_up_reloaded
from qcompare.settings import Settings
from tests.tiny import TEXTS

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own, of many kinds
CHECKPOINTS = [
    ("NVFP4", "llm_compressor"), ("NVFP4", "auto_round"), ("MXFP4", "auto_round"), ("MXFP8", "auto_round"),
    ("MXFP4", "llm_compressor"), ("INT8_W8A8", "llm_compressor"), ("FP8_STATIC", "auto_round"),
]  # fmt: skip


def opened(checkpoint: Path, model: Path, settings: Settings, dtype: str) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(model)
    found = fetch_checkpoint(str(checkpoint), describe(str(model), settings), settings, print)
    base = LocalModel(model, "base", "folder", "r")
    return load_checkpoint(found, base, tokenizer, "cpu", dtype, settings, False, lambda done, total: None)


@pytest.mark.parametrize(("scheme", "format"), CHECKPOINTS, ids=map("-".join, CHECKPOINTS))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logits_stay_the_same_to_the_last_bit(
    scheme: str, format: str, dtype: str, tiny_llama: Path, quantized: Callable[..., Path], settings: Settings
) -> None:
    loaded = opened(quantized(tiny_llama, scheme, format), tiny_llama, settings, dtype)
    rows = loaded.tokenizer("\n".join(TEXTS), return_tensors="pt")
    with torch.inference_mode():
        theirs = loaded.model(**rows).logits
        speed_up_reloaded(loaded.model)
        assert torch.equal(loaded.model(**rows).logits, theirs)


@pytest.mark.parametrize("format", ["llm_compressor", "auto_round"])
def test_layers_that_share_an_input_round_it_once(
    format: str,
    tiny_llama: Path,
    quantized: Callable[..., Path],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from qcompare.formats import nvfp

    loaded = opened(quantized(tiny_llama, "NVFP4", format), tiny_llama, settings, "float32")
    speed_up_reloaded(loaded.model)
    calls: list[torch.Size] = []
    rounding = nvfp.nvfp4
    monkeypatch.setattr(nvfp, "nvfp4", lambda x, *args: calls.append(x.shape) or rounding(x, *args))
    with torch.inference_mode():
        loaded.model(torch.tensor([[1, 2, 3]]))
    assert len(calls) == 4 * loaded.model.config.num_hidden_layers  # qkv, o, gate and up, down


def test_a_model_that_is_not_quantized_stays_as_it_is(tiny_llama: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    modules = list(model.modules())
    speed_up_reloaded(model)
    assert list(model.modules()) == modules
    assert not any(module._forward_pre_hooks for module in modules)
