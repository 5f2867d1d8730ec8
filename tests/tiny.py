"""Tiny random models, made on the spot."""

from collections.abc import Sequence
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


def make_tokenizer(folder: Path, texts: Sequence[str] = TEXTS) -> Path:
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
    bpe.train_from_iterator(texts, trainer)
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


def quantize(model: Path, scheme: str, format: str, folder: Path, **options: Any) -> Path:
    """A checkpoint by auto-round, plainly rounded: its folder, or its file for GGUF."""
    import json

    from auto_round import AutoRound

    text = folder / "text.jsonl"
    text.write_text("".join(json.dumps({"text": f"{n}. " + " ".join(TEXTS) * 4}) + "\n" for n in range(8)))
    rounder = AutoRound(
        str(model), scheme=scheme, iters=0, disable_opt_rtn=True, disable_model_free=True, device_map="cpu",
        dataset=str(text), nsamples=4, seqlen=64, **options,
    )  # fmt: skip
    rounder.quantize_and_save(output_dir=str(folder / "out"), format=format)
    files = sorted((folder / "out").rglob("*.gguf")) or sorted((folder / "out").rglob("config.json"))
    return files[0] if files[0].suffix == ".gguf" else files[0].parent


def save_quantized(model: Path, config: Any, folder: Path, dtype: str = "bfloat16") -> Path:
    """A checkpoint by transformers, with the library of a quantization config: its folder."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quantized = AutoModelForCausalLM.from_pretrained(
        model, quantization_config=config, dtype=getattr(torch, dtype), device_map="cpu"
    )
    quantized.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return folder


def write_gguf(path: Path, model_folder: Path, type_name: str, **changes: Any) -> Path:
    """A Llama as a GGUF file, as llama.cpp's converter lays it out; matrices in one type, the rest as they are.

    Args:
        changes: metadata of the architecture that is to be another.
    """
    import json

    import gguf
    import numpy as np
    from safetensors.numpy import load_file
    from transformers import AutoTokenizer

    config = json.loads((model_folder / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    kind = gguf.GGMLQuantizationType[type_name]
    values = {
        "block_count": config["num_hidden_layers"], "embedding_length": config["hidden_size"],
        "feed_forward_length": config["intermediate_size"], "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"], "context_length": 512,
        "rope.dimension_count": config["hidden_size"] // config["num_attention_heads"],
        "vocab_size": config["vocab_size"],
    } | changes  # fmt: skip
    writer.add_string("general.name", "tiny")
    writer.add_string("general.license", "mit")
    writer.add_string("general.quantized_by", "somebody")
    for name, value in values.items():
        writer.add_uint32(f"llama.{name}", value)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", config["rms_norm_eps"])
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, array in load_file(model_folder / "model.safetensors").items():
        stem, _, suffix = name.rpartition(".")
        if n := heads.get(stem.rpartition(".")[2]):
            array = array.reshape(n, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
        its = kind if array.ndim == 2 else gguf.GGMLQuantizationType.F32
        stored = gguf.quantize(np.ascontiguousarray(array), its)
        writer.add_tensor(f"{names.get_name(stem)}.{suffix}", stored, raw_dtype=its)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
