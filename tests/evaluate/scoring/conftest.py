"""Tiny random models of several architectures and a tokenizer trained on the spot: nothing is downloaded."""

from typing import Any

import pytest

TEXT = [
    "The quick brown fox jumps over the lazy dog.",
    " naïve café: 東京, Ελλάδα, привет 🙂",
    "Question: why? Answer: because.",
]
SHAPE = dict(
    vocab_size=320, hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, max_position_embeddings=64, initializer_range=0.3,
    bos_token_id=1, eos_token_id=2, pad_token_id=0,
)  # fmt: skip
GEMMA = dict(query_pre_attn_scalar=16, sliding_window=8)
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", {}),
    "qwen2": ("Qwen2Config", {}),
    "qwen3": ("Qwen3Config", {}),
    "gemma": ("GemmaConfig", {}),
    "gemma2": ("Gemma2Config", {**GEMMA, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 5.0}),
    "gemma2_eager": (
        "Gemma2Config",
        {**GEMMA, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 5.0, "attn_implementation": "eager"},
    ),
    "gemma3": (
        "Gemma3TextConfig",
        {**GEMMA, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
    ),
    "mistral": ("MistralConfig", {"sliding_window": None}),
    "mistral_window": ("MistralConfig", {"sliding_window": 8}),
    "phi3": ("Phi3Config", {}),
    "gpt_neox": ("GPTNeoXConfig", {}),
    "bloom": ("BloomConfig", {"n_head": 4, "n_layer": 2}),
    "mamba": ("MambaConfig", {"state_size": 4}),
}
_made: dict[str, Any] = {}


def tiny_model(name: str) -> Any:
    """The random float32 model of an architecture, made once."""
    import torch
    import transformers

    if name not in _made:
        kind, extra = CONFIGS[name]
        torch.manual_seed(0)
        config = getattr(transformers, kind)(**{**SHAPE, **extra})
        _made[name] = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    return _made[name]


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(TEXT * 4, vocab_size=320, special_tokens=["<pad>", "<s>", "</s>"], show_progress=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
