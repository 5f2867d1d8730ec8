"""GGUF → safetensors, as a process of its own (`python -m qcompare.demo.convert GGUF FOLDER`).

A process of its own because it needs torch and a gigabyte of memory for half a minute, and its caller may be the app.
"""

import functools
import sys
from pathlib import Path
from typing import Any


def convert(gguf: Path, folder: Path) -> None:
    """Write a transformers model folder: bfloat16 safetensors, configs, tokenizer, chat template."""
    import gguf as gguf_library
    import torch
    from transformers import AutoModelForCausalLM

    # transformers parses the file once each for config, weights and tokenizer: half of the time of a conversion.
    gguf_library.GGUFReader = functools.cache(gguf_library.GGUFReader)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    # The weights are plain tensors now; with these two left, save_pretrained refuses to write them.
    model.hf_quantizer = None
    del model.config.quantization_config
    tokenizer = _tokenizer(gguf, model.config)
    if model.generation_config.eos_token_id != tokenizer.eos_token_id:
        raise ValueError(f"the model ends with token {model.generation_config.eos_token_id}, the tokenizer differs")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(gguf: Path, config: Any) -> Any:
    """The tokenizer inside the GGUF file, with what transformers' GGUF reader loses put back.

    It takes the BOS token for EOS, leaves out the splitting of digits (GGUF calls this pre-tokenizer `smollm`), and
    adds a decoder of SentencePiece models. A GPT-2 style byte-level tokenizer needs none of these.
    """
    from tokenizers import decoders, pre_tokenizers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    read = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    core = read.backend_tokenizer
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    end = read.convert_ids_to_tokens(config.eos_token_id)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=read.bos_token,
        eos_token=end,
        pad_token=end,
        unk_token=read.unk_token,
        model_max_length=config.max_position_embeddings,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = read.chat_template
    return tokenizer


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
