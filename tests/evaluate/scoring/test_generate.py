"""Batched generation gives the text each prompt gets alone."""

from typing import Any

import pytest
import torch

from qcompare.evaluate.scoring.generate import generate_batch

from .conftest import tiny_model

pytestmark = pytest.mark.filterwarnings("ignore")
PROMPTS = ["The quick brown fox", "a", "Question: why? Answer:" * 2, " naïve café 🙂", "The lazy dog jumps"]


def alone(model: Any, tokenizer: Any, prompt: str, new: int) -> str:
    ids = torch.tensor([tokenizer(prompt)["input_ids"]])
    output = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False)
    return tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)


@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma2", "gemma3", "mistral_window", "mamba", "bloom"])
def test_batched_text_is_the_text_alone(name: str, tokenizer: Any) -> None:
    model = tiny_model(name)
    expected = [alone(model, tokenizer, prompt, 12) for prompt in PROMPTS]
    assert generate_batch(model, tokenizer, PROMPTS, 12) == expected
    assert generate_batch(model, tokenizer, PROMPTS, 12, batch_tokens=60) == expected


def test_a_prompt_without_tokens_is_refused(tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="no tokens"):
        generate_batch(tiny_model("llama"), tokenizer, [""], 3)
