"""Greedy answers to prompts."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from qcompare.study.records import Generation


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    max_new_tokens: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[Generation]:
    """Answer each prompt greedily, through the chat template where the tokenizer has one."""
    answers = []
    for done, prompt in enumerate(prompts, start=1):
        answers.append(_answer(model, tokenizer, prompt, max_new_tokens))
        report(done, len(prompts))
    return answers


def _answer(model: Any, tokenizer: Any, prompt: str, max_new_tokens: int) -> Generation:
    import torch

    started = time.perf_counter()
    inputs = encode_prompt(tokenizer, prompt).to(model.device)
    length = inputs["input_ids"].shape[1]
    with torch.inference_mode():
        output = model.generate(
            **inputs,
            generation_config=greedy_config(model, tokenizer, max_new_tokens),
        )
    new_tokens = output[0, length:]
    text = tokenizer.decode(new_tokens, skip_special_tokens=True)
    return Generation(prompt=prompt, text=text, tokens=len(new_tokens), seconds=time.perf_counter() - started)


def encode_prompt(tokenizer: Any, prompt: str) -> Any:
    """Tokens of a prompt as a user's turn, shape (1, length); as plain text without a chat template."""
    if not tokenizer.chat_template:
        return tokenizer(prompt, return_tensors="pt")
    turn = [{"role": "user", "content": prompt}]
    return tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt", return_dict=True)


def greedy_config(model: Any, tokenizer: Any, max_new_tokens: int) -> Any:
    """The model's own stop tokens, without its sampling settings."""
    from transformers import GenerationConfig

    eos = model.generation_config.eos_token_id
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=tokenizer.eos_token_id if eos is None else eos,
        pad_token_id=tokenizer.pad_token_id,
    )
