"""Which models cache plain keys and values, by their configs."""

import re
from typing import Any

import pytest

from qcompare.models.attention import unusual_cache


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "llama"}, {"model_type": "qwen3"}, {"model_type": "gpt2"}, {"model_type": "gpt_neox"},
        {"model_type": "gemma3", "text_config": {"layer_types": ["sliding_attention", "full_attention"]}},
        {"model_type": "gemma4", "text_config": {"num_kv_shared_layers": 0}},
    ],
    ids=str,
)  # fmt: skip
def test_ordinary_attention_can_have_one(config: dict[str, Any]) -> None:
    assert unusual_cache(config) is None


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "deepseek_v3", "kv_lora_rank": 512}, "latent vectors"),
        ({"model_type": "minicpm3"}, "latent vectors"),
        ({"model_type": "gemma3n", "text_config": {"num_kv_shared_layers": 15}}, "share their keys"),
        ({"model_type": "gemma3n"}, "share their keys"),
        ({"model_type": "lfm2", "layer_types": ["conv", "full_attention"]}, r"\(conv\)"),
        ({"model_type": "qwen3_next", "layer_types": ["linear_attention"]}, r"\(linear_attention\)"),
        ({"model_type": "granitemoehybrid"}, "recurrent"),
        ({"model_type": "mamba"}, "cannot be replaced"),
        ({"model_type": "bloom"}, "cannot be replaced"),
        ({"model_type": "no such family"}, "cannot be replaced"),
    ],
    ids=str,
)
def test_what_caches_something_else_is_named(config: dict[str, Any], reason: str) -> None:
    assert re.search(reason, str(unusual_cache(config)))
