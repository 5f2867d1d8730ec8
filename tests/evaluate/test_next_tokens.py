"""How likely the tokens of an answer were: of loaded models, and as servers tell."""

from pathlib import Path
from typing import Any

import pytest
import torch

from qcompare.evaluate.generate import encode_prompt, generate
from qcompare.evaluate.next_tokens import answer_tokens, server_tokens
from qcompare.study.next_tokens import TOP, AnswerTokens
from tests.evaluate.test_generate import load

PROMPTS = ["The quick brown fox", "a", ("Question: why?", "And then?"), " naïve café 🙂 你好"]


def noted(model: Any, tokenizer: Any, packed: bool, batch_tokens: int = 4096) -> tuple[list[Any], list[AnswerTokens]]:
    tokens: list[AnswerTokens] = []
    answers = generate(model, tokenizer, PROMPTS, 12, batch_tokens=batch_tokens, packed=packed, note=tokens.append)
    order = {answer.prompt: n for n, answer in enumerate(answers)}
    return answers, sorted(tokens, key=lambda each: order[each.prompt])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("batch_tokens", [4096, 60])
def test_the_candidates_are_those_of_the_float32_log_softmax(
    tiny_llama: Path, packed: bool, batch_tokens: int
) -> None:
    model, tokenizer = load(tiny_llama)
    plain = generate(model, tokenizer, PROMPTS, 12, packed=packed)
    answers, tokens = noted(model, tokenizer, packed, batch_tokens)
    assert [a.text for a in answers] == [a.text for a in plain]  # noting changes no answer
    assert [a.prompt for a in answers] == [t.prompt for t in tokens]
    first = next(t for t in tokens if t.prompt == PROMPTS[0])
    ids = encode_prompt(tokenizer, PROMPTS[0])
    for token in first.tokens:
        with torch.inference_mode():
            expected = model(torch.tensor([ids])).logits[0, -1].float().log_softmax(-1).topk(TOP)
        assert [c.token for c in token.candidates] == expected.indices.tolist()
        assert [c.logprob for c in token.candidates] == pytest.approx(expected.values.tolist(), abs=2e-5)
        ids.append(token.candidates[0].token)
    assert [len(t.tokens) for t in tokens] == [a.tokens for a in answers]


def test_each_token_says_where_it_stands_in_the_text(tiny_llama: Path) -> None:
    _, tokenizer = load(tiny_llama)
    stop = tokenizer.eos_token_id
    text = " naïve café 🙂 你好 the"
    ids = [*tokenizer(text)["input_ids"], stop]
    likeliest = [[(token, -0.5), (5, -1.5)] for token in ids]
    found = answer_tokens(tokenizer, "Hello", ids, likeliest, {stop})
    assert "".join(text[a.at : b.at] for a, b in zip(found.tokens, found.tokens[1:], strict=False)) == text
    assert found.tokens[-1].at == len(text) and found.tokens[-1].candidates[0].text == ""
    assert {token.at for token in found.tokens} <= set(range(len(text) + 1))


def test_of_equally_likely_tokens_the_one_that_is_written_comes_first() -> None:
    from qcompare.evaluate.scoring.greedy import likeliest_tokens

    logits = torch.zeros(2, 50)
    logits[1, 7] = 1.0
    for row, first in zip(likeliest_tokens(logits, 5), logits.argmax(-1).tolist(), strict=True):
        assert row[0][0] == first and len({token for token, _ in row}) == len(row) == 5


def logprobs(**changes: Any) -> dict[str, Any]:
    found = {
        "tokens": ["Par", "is", ""],
        "token_logprobs": [-0.5, -0.1, -0.2],
        "top_logprobs": [{"Par": -0.5, "Lon": -1.2}, {"is": -0.1, "ty": -3}, {"": -0.2}],
    }
    return found | changes


def test_a_servers_candidates_are_read_with_their_places() -> None:
    found = server_tokens("Hello", "Paris", logprobs())
    assert found is not None
    assert [token.at for token in found.tokens] == [0, 3, 5]
    assert [(c.token, c.text) for c in found.tokens[0].candidates] == [(None, "Par"), (None, "Lon")]


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        {},
        logprobs(tokens=["Par", "is"]),
        logprobs(tokens=["Lon", "don", ""]),
        logprobs(token_logprobs=[-0.5, None, -0.2]),
        logprobs(token_logprobs=[-0.5, float("nan"), -0.2]),
        logprobs(top_logprobs=[{"Par": -2.0, "Lon": -0.1}] * 3),
        logprobs(token_logprobs=[-2.0, -0.1, -0.2]),  # a greedy answer writes the likeliest
        logprobs(top_logprobs=None),
    ],
)
def test_what_a_server_gives_of_another_text_or_in_another_form_is_left_out(given: Any) -> None:
    assert server_tokens("Hello", "Paris", given) is None
