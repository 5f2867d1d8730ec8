"""Greedy answers to prompts, several at once: side by side as generated tasks are (`scoring/greedy`), or, by models
that cannot be packed, in left-padded batches through the model's own `generate`.

In a conversation each answer is given with all that was said before it, the model's own earlier answers included.
Padding on the left is masked and not counted in positions, so a prompt gets the text it would get alone (up to
rounding between equally likely tokens). Models that cannot mask what came before (recurrent ones) answer prompt by
prompt.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, cycle
from typing import TYPE_CHECKING, Any

from qcompare.evaluate.next_tokens import answer_tokens
from qcompare.study.next_tokens import TOP, AnswerTokens
from qcompare.study.prompts import Prompt, so_far, turns
from qcompare.study.result import Generation

if TYPE_CHECKING:
    from qcompare.evaluate.scoring.greedy import Written

BATCH_TOKENS = 4096
"""Prompt and new tokens of one batch, padding included."""
MASKED_KINDS = {"full_attention", "sliding_attention"}
"""Layers for which a mask hides left padding."""


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    max_new_tokens: int,
    report: Callable[[int, int], None] = lambda done, total: None,
    batch_tokens: int = BATCH_TOKENS,
    packed: bool = False,
    note: Callable[[AnswerTokens], None] | None = None,
) -> list[Generation]:
    """Answer each prompt greedily, through the chat template where the tokenizer has one.

    Args:
        report: called with (answers given, answers in all).
        packed: the model can be scored in packed rows (`scoring/modes`).
        note: told the tokens of each answer and how likely they were; None: that is not computed.

    Returns:
        The answers in the order of the prompts, and of the turns of each; `seconds` is the time since the answer
        before it ended, or an equal share of its padded batch.
    """
    steps = [so_far(prompt) for prompt in prompts]
    given: list[list[Generation]] = [[] for _ in prompts]
    config = greedy_config(model, tokenizer, max_new_tokens)
    answer = _side_by_side if packed else _in_batches
    tokens = batch_tokens if packed or _can_mask(model) else 1
    for turn in range(max(map(len, steps), default=0)):
        encoded = {
            index: encode_prompt(tokenizer, so_fars[turn], [answer.text for answer in given[index]])
            for index, so_fars in enumerate(steps)
            if turn < len(so_fars)
        }
        for batch, outputs, seconds in answer(model, config, encoded, tokens, TOP if note else 0):
            for index, output in zip(batch, outputs, strict=True):
                text, asked = tokenizer.decode(output.tokens, skip_special_tokens=True), steps[index][turn]
                given[index].append(Generation(prompt=asked, text=text, tokens=len(output.tokens), seconds=seconds))
                if note:
                    note(answer_tokens(tokenizer, asked, output.tokens, output.likeliest, _stops(config)))
            report(sum(map(len, given)), sum(map(len, steps)))
    return [answer for answers in given for answer in answers]


def _side_by_side(
    model: Any, config: Any, encoded: Mapping[int, list[int]], tokens: int, likeliest: int
) -> Iterator[tuple[list[int], list["Written"], float]]:
    """Each prompt's number, new tokens, and seconds since the answer before it."""
    from qcompare.evaluate.scoring.greedy import Prompt, answer_greedily  # torch
    from qcompare.evaluate.scoring.memory import Budget, default_row_tokens
    from qcompare.evaluate.scoring.threads import Workers

    stops, numbers = _stops(config), list(encoded)
    prompts = [Prompt(tuple(encoded[n]), config.max_new_tokens, lambda new: new[-1] in stops) for n in numbers]
    places = max(1, tokens // max(len(one.tokens) + one.most for one in prompts))
    started = time.perf_counter()
    budget, workers = Budget(default_row_tokens(model)), Workers.for_model(model)
    for number, new in answer_greedily(model, prompts, places, budget, workers, likeliest=likeliest):
        ended = time.perf_counter()
        yield [numbers[number]], [new], ended - started
        started = ended


def _in_batches(
    model: Any, config: Any, encoded: Mapping[int, list[int]], tokens: int, likeliest: int
) -> Iterator[tuple[list[int], list["Written"], float]]:
    """Prompt numbers, new tokens of each, and seconds per prompt; batches of half the size after an out-of-memory."""
    import torch

    from qcompare.evaluate.scoring.memory import is_out_of_memory, release_memory  # torch

    waiting = _batches({index: len(ids) + config.max_new_tokens for index, ids in encoded.items()}, tokens)
    while waiting:
        batch, started = waiting.pop(0), time.perf_counter()
        try:
            with torch.inference_mode():
                outputs = _continue(model, config, [encoded[index] for index in batch], likeliest)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(batch) == 1:
                raise
            release_memory(error)
            waiting = _cut([batch, *waiting], len(batch) // 2)
            continue
        yield batch, outputs, (time.perf_counter() - started) / len(batch)


def encode_prompt(tokenizer: Any, prompt: Prompt, answers: Sequence[str] = ()) -> list[int]:
    """Tokens of a prompt as a user's turn, and of what was said before it; without a chat template, lines of text.

    Args:
        answers: the model's own, to all turns but the last.
    """
    first, *later_turns = turns(prompt)
    texts = [first, *chain.from_iterable(zip(answers, later_turns, strict=True))]
    if not tokenizer.chat_template:
        return list(tokenizer("\n".join(texts))["input_ids"])
    said = [{"role": role, "content": text} for role, text in zip(cycle(("user", "assistant")), texts, strict=False)]
    return list(tokenizer.apply_chat_template(said, add_generation_prompt=True, return_dict=True)["input_ids"])


def greedy_config(model: Any, tokenizer: Any, max_new_tokens: int) -> Any:
    """The model's own stop tokens, without its sampling settings."""
    from transformers import GenerationConfig

    eos = model.generation_config.eos_token_id
    eos = tokenizer.eos_token_id if eos is None else eos
    first = eos[0] if isinstance(eos, list) else eos
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else first
    return GenerationConfig(do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=eos, pad_token_id=pad or 0)


def _can_mask(model: Any) -> bool:
    """Whether a mask hides left padding: attention does, recurrent and convolution layers do not."""
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    return bool(getattr(model, "_supports_attention_backend", False)) and kinds <= MASKED_KINDS


def _batches(lengths: Mapping[int, int], tokens: int) -> list[list[int]]:
    """Prompts by their numbers, the longest first; each padded batch within `tokens`, at least one prompt each."""
    batches: list[list[int]] = []
    for index in sorted(lengths, key=lambda index: -lengths[index]):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _cut(batches: list[list[int]], most: int) -> list[list[int]]:
    """The same prompts in their order, in batches of at most `most`."""
    return [batch[first : first + most] for batch in batches for first in range(0, len(batch), most)]


def _continue(model: Any, config: Any, batch: list[list[int]], likeliest: int) -> list["Written"]:
    """New tokens of each prompt, up to and with its stop token."""
    import torch

    from qcompare.evaluate.scoring.greedy import Likeliest, Written, likeliest_tokens  # torch

    width = max(len(ids) for ids in batch)
    ids = torch.tensor([[config.pad_token_id] * (width - len(row)) + row for row in batch], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch], device=model.device)
    steps: list[list[Likeliest]] = []

    def look(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """A logits processor, the last one: scores [prompts, vocabulary] stay as they are."""
        steps.append(likeliest_tokens(scores, likeliest))
        return scores

    output = model.generate(
        input_ids=ids, attention_mask=mask, generation_config=config, logits_processor=[look] if likeliest else None
    )
    answers = [_until(row, _stops(config)) for row in output[:, width:].tolist()]
    return [
        Written(answer, [step[n] for step in steps[: len(answer)]] if likeliest else [])
        for n, answer in enumerate(answers)
    ]


def _stops(config: Any) -> set[int]:
    return set(config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id])


def _until(tokens: list[int], stops: set[int]) -> list[int]:
    end = next((at for at, token in enumerate(tokens, start=1) if token in stops), len(tokens))
    return tokens[:end]
