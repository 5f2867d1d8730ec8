"""KL divergence, agreement and perplexity equal a direct computation over the whole vocabulary."""

import json
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from accelerate import cpu_offload

from qcompare.errors import InvalidStudy
from qcompare.evaluate.divergence import Passages, divergence, read_passages, reference_states
from qcompare.evaluate.held_out import original_states
from qcompare.evaluate.scoring import head
from qcompare.evaluate.scoring.head import hidden_states
from qcompare.models.sources import fetch, load
from qcompare.quantize.simulate import simulate
from qcompare.settings import Settings
from qcompare.store.cache import Cache, CacheKey

TEXTS = ["The capital of France is Paris, and it is famous for its food.", "Explain to a child why the sky is blue."]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.jsonl"
    path.write_text("\n".join(json.dumps({"text": t}) for t in TEXTS))
    return path


def loaded(folder: Path | str, settings: Settings, dtype: str = "float32") -> tuple[Any, Any]:
    return load(fetch(str(folder), settings), "cpu", dtype, settings, hub_kernels=False)


def quantized(model: Any) -> Any:
    names = [name for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"]
    simulate(model, dict.fromkeys(names, "MXFP4"))
    return model


@pytest.mark.parametrize("folder", ["tiny_llama", "tiny_qwen3", "tiny_gemma"])
def test_figures_equal_a_direct_computation(
    folder: str, text: Path, settings: Settings, request: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "LOGITS_BYTES", 4 * 512 * 7)  # several pieces a passage
    model, tokenizer = loaded(request.getfixturevalue(folder), settings)
    passages = read_passages(text, tokenizer, 5, 64, "a test")
    reference = reference_states(model, passages)
    ids = [torch.tensor([tokens]) for tokens in passages.tokens]
    with torch.inference_mode():
        p = torch.cat([F.log_softmax(model(one).logits[0, :-1].double(), dim=-1) for one in ids])
        ours = quantized(model)
        q = torch.cat([F.log_softmax(ours(one).logits[0, :-1].double(), dim=-1) for one in ids])
    target = torch.cat([one[0, 1:] for one in ids])
    found = divergence(ours, reference, passages)
    assert found.tokens == len(target)
    assert found.kl == pytest.approx(float((p.exp() * (p - q)).sum(-1).mean()), rel=1e-4)
    assert found.top1_agreement == pytest.approx(float((p.argmax(-1) == q.argmax(-1)).double().mean()))
    assert found.perplexity == pytest.approx(exp(-float(q.gather(1, target[:, None]).mean())), rel=1e-5)
    assert found.reference_perplexity == pytest.approx(exp(-float(p.gather(1, target[:, None]).mean())), rel=1e-5)
    assert found.kl > 0
    assert [each.tokens for each in found.passages] == [len(tokens) - 1 for tokens in passages.tokens]
    assert sum(each.kl * each.tokens for each in found.passages) / found.tokens == pytest.approx(found.kl)


def test_a_model_does_not_differ_from_itself(tiny_llama: Path, text: Path, settings: Settings) -> None:
    model, tokenizer = loaded(tiny_llama, settings)
    passages = read_passages(text, tokenizer, 5, 64, "a test")
    states = reference_states(model, passages)
    found = divergence(model, states, passages)
    assert (found.kl, found.top1_agreement, found.perplexity) == (0.0, 1.0, found.reference_perplexity)
    assert divergence(model, states, passages, own=states) == found


@pytest.mark.parametrize("at_a_time", [head.HEAD_BYTES, 4 * 64 * 100], ids=["once", "in pieces"])
@pytest.mark.parametrize("folder", ["tiny_llama", "tiny_qwen3", "tiny_gemma"])
def test_in_bfloat16_the_output_head_adds_no_rounding(
    folder: str, at_a_time: int, text: Path, settings: Settings, request: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is a difference of hidden states; by the head's own rounding it would be tens of times as much.

    A head in bfloat16 is converted to float32, once or, if it is large, in pieces.
    """
    monkeypatch.setattr(head, "HEAD_BYTES", at_a_time)
    model, tokenizer = loaded(request.getfixturevalue(folder), settings, "bfloat16")
    passages = read_passages(text, tokenizer, 5, 64, "a test")
    reference = reference_states(model, passages)
    others = [torch.where(torch.arange(len(x)).unsqueeze(1) % 3 == 0, x * (1 + 2**-7), x) for x in reference]
    weight = model.get_output_embeddings().weight.detach().double()
    both = [[F.log_softmax(x[:-1].double() @ weight.T, dim=-1) for x in some] for some in (reference, others)]
    expected = [float((p.exp() * (p - q)).sum(-1).mean()) for p, q in zip(*both, strict=True)]
    found = divergence(model, reference, passages, own=others)
    assert [each.kl for each in found.passages] == pytest.approx(expected, rel=2e-2, abs=1e-7)
    assert model.lm_head.weight.dtype is torch.bfloat16 and "forward" not in model.lm_head.__dict__


def test_a_head_whose_weights_are_offloaded_answers_in_float32() -> None:
    layer = torch.nn.Linear(8, 16).bfloat16()
    x = torch.randn(3, 8).bfloat16()
    expected = F.linear(x.float(), layer.weight.float(), layer.bias.float())
    cpu_offload(layer, execution_device="cpu")
    assert layer.weight.device.type == "meta"
    with torch.inference_mode(), head.float32_head(layer):
        assert torch.equal(layer(x), expected)


def in_one_batch(model: Any, passages: Passages) -> list[torch.Tensor]:
    """Hidden states as `reference_states`, of all passages side by side with padding on the right."""
    width = max(map(len, passages.tokens))
    rows = torch.tensor([[*tokens, *[0] * (width - len(tokens))] for tokens in passages.tokens])
    with torch.inference_mode():
        states = hidden_states(model, rows)
    return [row[: len(tokens)] for row, tokens in zip(states, passages.tokens, strict=True)]


@pytest.mark.parametrize("name", ["tiny_llama", pytest.param("demo", marks=pytest.mark.demo)])
def test_in_bfloat16_a_model_does_not_differ_from_itself_in_another_packing(
    name: str, tmp_path: Path, request: Any
) -> None:
    """Rows of 64 tokens each by itself and three at a time; passages of a few tokens take other kernels, and then
    hidden states alone put the two 2e-4 apart."""
    demo = name == "demo"
    settings = request.getfixturevalue("demo_settings" if demo else "settings")
    model, tokenizer = loaded(name if demo else request.getfixturevalue(name), settings, "bfloat16")
    (tmp_path / "text.txt").write_text(Path(__file__).read_text())
    passages = read_passages(tmp_path / "text.txt", tokenizer, 3, 64, "a test")
    found = divergence(model, reference_states(model, passages), passages, own=in_one_batch(model, passages))
    assert abs(found.kl) <= 1e-5


def test_the_original_is_read_once(tiny_llama: Path, text: Path, settings: Settings, tmp_path: Path) -> None:
    model, tokenizer = loaded(tiny_llama, settings)
    passages = read_passages(text, tokenizer, 5, 64, "a test")
    steps: list[int] = []
    cache, key = Cache(tmp_path / "cache"), CacheKey("reference_states", "main", {}, "", {"tokens": passages.digest})
    first = original_states(model, passages, cache, key, lambda done, total: steps.append(done))
    second = original_states(None, passages, cache, key, lambda done, total: steps.append(done))
    assert steps == [1, 2]
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_plain_text_is_cut_into_passages(tiny_llama: Path, settings: Settings, tmp_path: Path) -> None:
    _, tokenizer = loaded(tiny_llama, settings)
    path = tmp_path / "text.txt"
    path.write_text(" ".join(TEXTS) * 5)
    passages = read_passages(path, tokenizer, 3, 20, "a test")
    assert [len(tokens) for tokens in passages.tokens] == [20, 20, 20]
    assert sum(passages.tokens, ()) == tuple(tokenizer(path.read_text())["input_ids"][:60])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"", "too short"),
        ("a.jsonl", b'{"no": 1}', 'field "text"'),
        ("a.jsonl", b"{", 'field "text"'),
        ("a.txt", b"\xff\xfe", "cannot be read"),
        ("missing.txt", None, "cannot be read"),
    ],
)
def test_text_that_cannot_be_used_gets_one_line(
    name: str, content: bytes | None, says: str, tiny_llama: Path, settings: Settings, tmp_path: Path
) -> None:
    _, tokenizer = loaded(tiny_llama, settings)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidStudy, match=says):
        read_passages(tmp_path / name, tokenizer, 3, 20, "a test")


def test_passages_of_other_tokens_have_another_digest() -> None:
    assert Passages(((1, 2),), "x").digest != Passages(((1, 3),), "x").digest
