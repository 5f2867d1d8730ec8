"""Greedy continuations of many prompts at once: left-padded batches through the model's own ``generate``.

Padding on the left is masked and not counted in positions, so a prompt gets the text it would get alone (up to
rounding between equally likely tokens). Models that cannot mask what came before (recurrent ones) are run prompt by
prompt.
"""

from collections.abc import Callable, Sequence
from typing import Any

BATCH_TOKENS = 4096
"""Prompt and new tokens of one batch, padding included."""


def generate_batch(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    max_new_tokens: int,
    *,
    add_special_tokens: bool = True,
    batch_tokens: int = BATCH_TOKENS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """The greedy continuation of each prompt, without special tokens, in the order given.

    ``add_special_tokens`` False for prompts that already hold them (a chat template); ``progress`` gets prompts done
    and prompts in all. Raises ValueError for a prompt without tokens.
    """
    encoded = [tokenizer(prompt, add_special_tokens=add_special_tokens)["input_ids"] for prompt in prompts]
    for prompt, tokens in zip(prompts, encoded, strict=True):
        if not tokens:
            raise ValueError(f"the prompt {prompt!r} has no tokens")
    texts, done = [""] * len(prompts), 0
    for batch in _batches(
        [len(tokens) for tokens in encoded], max_new_tokens, batch_tokens if _can_mask(model) else 1
    ):
        outputs = _generate(model, tokenizer, [encoded[index] for index in batch], max_new_tokens)
        for index, output in zip(batch, outputs, strict=True):
            texts[index] = tokenizer.decode(output, skip_special_tokens=True)
        done += len(batch)
        progress(done, len(prompts))
    return texts


def _can_mask(model: Any) -> bool:
    """Whether a mask hides left padding: attention does, recurrent and convolution layers do not."""
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    return bool(getattr(model, "_supports_attention_backend", False)) and kinds <= {
        "full_attention",
        "sliding_attention",
    }


def _batches(lengths: list[int], new: int, tokens: int) -> list[list[int]]:
    """Indices of prompts, the longest first; each padded batch within ``tokens``, at least one prompt each."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if batches and (len(batches[-1]) + 1) * (lengths[batches[-1][0]] + new) <= tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _generate(model: Any, tokenizer: Any, batch: list[list[int]], max_new_tokens: int) -> list[list[int]]:
    import torch

    width = max(len(tokens) for tokens in batch)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    ids = torch.tensor([[pad or 0] * (width - len(tokens)) + tokens for tokens in batch], device=model.device)
    mask = torch.tensor([[0] * (width - len(tokens)) + [1] * len(tokens) for tokens in batch], device=model.device)
    with torch.no_grad():
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=pad,
            use_cache=True,
        )
    new: list[list[int]] = output[:, width:].tolist()
    return new
