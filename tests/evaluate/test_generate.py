"""Answers to prompts: greedy, through the chat template, the model's own stop tokens."""

from pathlib import Path
from typing import Any

import pytest
import torch

from qcompare.evaluate.generate import encode_prompt, generate


def load(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def loaded(tiny_llama: Path) -> tuple[Any, Any]:
    return load(tiny_llama)


def test_answers_are_the_greedy_tokens(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    answer = generate(model, tokenizer, ["Hello"], max_new_tokens=6)[0]
    ids = torch.tensor([encode_prompt(tokenizer, "Hello")])
    expected: list[int] = []
    with torch.inference_mode():
        for _ in range(6):
            logits = model(torch.cat([ids, torch.tensor([expected], dtype=ids.dtype)], dim=1)).logits
            expected.append(int(logits[0, -1].argmax()))
            if expected[-1] == tokenizer.eos_token_id:
                break
    assert answer.text == tokenizer.decode(expected, skip_special_tokens=True)
    assert answer.tokens == len(expected)


def test_sampling_settings_of_the_model_are_not_used(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    model.generation_config.do_sample, model.generation_config.temperature = True, 5.0
    first, second = generate(model, tokenizer, ["Hello", "Hello"], max_new_tokens=6)
    assert first.text == second.text


def test_any_text_can_be_a_prompt(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    steps: list[tuple[int, int]] = []
    prompts = ["", "<script>alert(1)</script>", "שלום 🙂 你好"]
    answers = generate(model, tokenizer, prompts, 3, lambda done, total: steps.append((done, total)))
    assert [answer.prompt for answer in answers] == prompts
    assert steps[-1] == (3, 3)


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        ("LlamaConfig", {}),
        ("Qwen3Config", {"head_dim": 32}),
        ("Gemma2Config", {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 8}),
        ("MistralConfig", {"sliding_window": 8}),
        ("MambaConfig", {"state_size": 4}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_in_a_batch_is_the_answer_alone(config: str, changes: dict[str, Any], make_model: Any) -> None:
    model, tokenizer = load(make_model(config, **changes))
    prompts = ["The quick brown fox", "a", "Question: why? Answer:" * 2, " naïve café 🙂", "The lazy dog jumps"]
    alone = [generate(model, tokenizer, [prompt], 12)[0].text for prompt in prompts]
    for batch_tokens in (4096, 60):
        together = generate(model, tokenizer, prompts, 12, batch_tokens=batch_tokens)
        assert [answer.text for answer in together] == alone


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        ("LlamaConfig", {}),
        ("Gemma2Config", {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 8}),
        ("MistralConfig", {"sliding_window": 8}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_side_by_side_is_the_answer_alone(config: str, changes: dict[str, Any], make_model: Any) -> None:
    model, tokenizer = load(make_model(config, **changes))
    prompts = ["The quick brown fox", "a", ("Question: why? Answer:", "And then?"), " naïve café 🙂", "The lazy dog"]
    alone = [answer.text for prompt in prompts for answer in generate(model, tokenizer, [prompt], 12)]
    steps: list[tuple[int, int]] = []
    for batch_tokens in (4096, 100):
        together = generate(
            model, tokenizer, prompts, 12, lambda done, total: steps.append((done, total)), batch_tokens, packed=True
        )
        assert [answer.text for answer in together] == alone
        assert all(answer.seconds > 0 and answer.tokens > 0 for answer in together)
    assert steps == [(done, 6) for done in range(1, 7)] * 2


def test_without_a_chat_template_the_prompt_is_plain_text(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    tokenizer.chat_template = None
    assert tokenizer.decode(encode_prompt(tokenizer, "Hello")) == "Hello"


def test_each_turn_of_a_conversation_is_answered_after_the_models_own_answers(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    talk = ("Hello", "Why?", "And then?")
    answers = generate(model, tokenizer, ["Hello", talk, "Why?"], 6)
    assert [answer.prompt for answer in answers] == ["Hello", "Hello", talk[:2], talk, "Why?"]
    said: list[dict[str, str]] = []
    for turn, answer in zip(talk, answers[1:4], strict=True):
        said.append({"role": "user", "content": turn})
        ids = tokenizer.apply_chat_template(said, add_generation_prompt=True, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            output = model.generate(ids, max_new_tokens=6, do_sample=False)
        assert answer.text == tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)
        said.append({"role": "assistant", "content": answer.text})


def test_without_a_chat_template_a_conversation_is_lines_of_text(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    tokenizer.chat_template = None
    assert tokenizer.decode(encode_prompt(tokenizer, ("Hello", "Why?"), ["Hi"])) == "Hello\nHi\nWhy?"


def test_out_of_memory_halves_the_batches_and_changes_no_answer(
    loaded: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = loaded
    prompts = ["Hello", "Why?", "The quick brown fox", "a", ("Hello", "And then?")]
    expected = [answer.text for answer in generate(model, tokenizer, prompts, 6)]
    plain, sizes, most = model.generate, [], 2

    def tight(input_ids: torch.Tensor, **kwargs: Any) -> Any:
        sizes.append(len(input_ids))
        if len(input_ids) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(input_ids=input_ids, **kwargs)

    monkeypatch.setattr(model, "generate", tight)
    assert [answer.text for answer in generate(model, tokenizer, prompts, 6)] == expected
    assert sizes == [5, 2, 2, 1, 1]
    most = 0
    with pytest.raises(torch.OutOfMemoryError):
        generate(model, tokenizer, prompts, 6)
