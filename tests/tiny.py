"""Tiny random models, made on the spot."""

from pathlib import Path
from typing import Any

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


def make_tokenizer(folder: Path) -> Path:
    """Save a byte-level BPE tokenizer of 512 tokens with a chat template: any text can be encoded."""
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
    tokenizer.save_pretrained(folder)
    return folder


def make_model_folder(folder: Path, tokenizer_folder: Path, config_class: str, **changes: Any) -> Path:
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


def tiny_llama(folder: Path) -> Path:
    """Make a random Llama with its tokenizer in a folder."""
    return make_model_folder(folder / "tiny-llama", make_tokenizer(folder / "tokenizer"), "LlamaConfig")
