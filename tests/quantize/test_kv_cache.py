"""An FP8 KV cache: attention reads rounded keys and values, in every way that a model is run."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from qcompare.errors import JobError
from qcompare.evaluate.divergence import Passages, divergence, reference_states
from qcompare.evaluate.generate import generate
from qcompare.evaluate.scoring.lm import PackedLM
from qcompare.evaluate.scoring.memory import Budget
from qcompare.evaluate.scoring.modes import ScoringMode
from qcompare.evaluate.scoring.plain import PlainLM
from qcompare.evaluate.scoring.threads import Workers
from qcompare.quantize.kv_cache import as_fp8, simulate_fp8_cache
from tests.evaluate.scoring.conftest import tiny_model

PAIRS = [
    ("The capital of France", option) for option in (" is Paris.", " is", " is famous, and so is the tower.")
] + [("The", " sky is blue"), ("", " tower")]
GROUPED = {"num_attention_heads": 4, "num_key_value_heads": 1}
EQUAL = {"num_attention_heads": 4, "num_key_value_heads": 4}


def llama(implementation: str = "sdpa", **heads: int) -> Any:
    """A random Llama whose keys and values reach beyond ±448, where FP8 ends."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=512, hidden_size=64, intermediate_size=96, num_hidden_layers=3, initializer_range=0.3,
        max_position_embeddings=128, bos_token_id=0, eos_token_id=2, attn_implementation=implementation, **heads,
    )  # fmt: skip
    model = LlamaForCausalLM(config).float().eval()
    with torch.no_grad():
        model.model.layers[1].self_attn.v_proj.weight.mul_(200)
    return model


def plain_logits(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """The logits of a Llama by the formulas, with keys and values as an FP8 cache holds them; one sequence."""
    hidden = model.model.embed_tokens(tokens)
    places = torch.arange(tokens.shape[1])[None]
    cos, sin = model.model.rotary_emb(hidden, places)
    for layer in model.model.layers:
        attention, x = layer.self_attn, layer.input_layernorm(hidden)
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        q, k, v = (part(x).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2) for part in parts)
        q, k = apply_rotary_pos_emb(q, k, cos, sin)
        k, v = (x.clamp(-448, 448).to(torch.float8_e4m3fn).to(x.dtype) for x in (k, v))
        k, v = (x.repeat_interleave(attention.num_key_value_groups, dim=1) for x in (k, v))
        scores = q @ k.transpose(-1, -2) * attention.scaling
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        weights = scores.masked_fill(later, -torch.inf).softmax(-1)
        hidden = hidden + attention.o_proj((weights @ v).transpose(1, 2).flatten(2))
        hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
    return model.lm_head(model.model.norm(hidden))


@pytest.fixture
def tokenizer(tiny_llama: Path) -> Any:
    found = AutoTokenizer.from_pretrained(tiny_llama)
    found.pad_token = found.eos_token
    return found


@pytest.mark.parametrize("heads", [GROUPED, EQUAL], ids=["grouped", "one key head each"])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_plain_forward_is_the_formula(implementation: str, heads: dict[str, int]) -> None:
    model, tokens = llama(implementation, **heads), torch.randint(0, 512, (1, 40))
    with torch.inference_mode():
        before = model(tokens).logits
        simulate_fp8_cache(model)
        after, expected = model(tokens).logits, plain_logits(model, tokens)
    assert torch.allclose(after, expected, atol=1e-4 * expected.std())
    assert (after - before).abs().max() > 0.01 * before.std()


def scores(lm: Any) -> list[tuple[float, bool]]:
    asked = [SimpleNamespace(args=pair, task_name=None) for pair in PAIRS]
    return lm.loglikelihood(asked, disable_tqdm=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("heads", [GROUPED, EQUAL], ids=["grouped", "one key head each"])
def test_every_scoring_mode_gives_the_same_log_likelihoods(heads: dict[str, int], tokenizer: Any) -> None:
    model = llama(**heads)
    choice = PackedLM(model, tokenizer, workers=Workers(1, 1)).mode_choice
    original = scores(PackedLM(model, tokenizer, workers=Workers(1, 1), mode_choice=choice))
    simulate_fp8_cache(model)
    plain = scores(PlainLM(pretrained=model, tokenizer=tokenizer, batch_size=1))
    assert choice.mode is ScoringMode.PACKED
    for mode in (ScoringMode.PACKED, ScoringMode.PADDED, ScoringMode.WHOLE):
        taken = replace(choice, mode=mode)
        found = scores(PackedLM(model, tokenizer, workers=Workers(1, 1), budget=Budget(64), mode_choice=taken))
        assert [one[0] for one in found] == pytest.approx([one[0] for one in plain], abs=1e-3)
        assert [one[1] for one in found] == [one[1] for one in plain]
    assert [one[0] for one in plain] != pytest.approx([one[0] for one in original], abs=1e-2)


@pytest.mark.parametrize("name", ["gemma2_eager", "gemma3", "mistral_window", "phi3", "gpt_neox"])
def test_other_families_score_alike_packed_and_plain(name: str) -> None:
    """Soft-capping, sliding windows, and heads that are split in other ways."""
    from qcompare.evaluate.scoring.packed import score_plan
    from qcompare.evaluate.scoring.padded import score_padded
    from qcompare.evaluate.scoring.plan import make_plan
    from qcompare.evaluate.scoring.sequences import unique_sequences

    model = tiny_model(name)
    before = model.config._attn_implementation
    beginning = list(range(5, 25))
    requests = [(beginning, [n, n + 1, n + 2]) for n in (30, 40, 50)] + [(beginning[:9], [60])]
    sequences = unique_sequences(requests, 64)
    try:
        simulate_fp8_cache(model)
        plain = score_padded(model, sequences, len(requests), Budget(1))
        packed = score_plan(model, make_plan(sequences, block_tokens=8, saved_tokens=1), len(requests), Budget(64))
    finally:
        model.set_attn_implementation(before)
    assert [one[0] for one in packed] == pytest.approx([one[0] for one in plain], abs=1e-3)
    assert plain != score_padded(model, sequences, len(requests), Budget(1))


@pytest.mark.filterwarnings("ignore")
def test_answers_are_the_same_side_by_side_and_by_the_models_own_generate(tokenizer: Any) -> None:
    model, prompts = llama(**GROUPED), ["Why is the sky blue?", "The capital of France", "Sarah"]

    def answers(packed: bool) -> list[str]:
        return [one.text for one in generate(model, tokenizer, prompts, 12, packed=packed)]

    original = answers(packed=True)
    simulate_fp8_cache(model)
    assert answers(packed=True) == answers(packed=False)
    assert answers(packed=True) != original
    tokens = tokenizer("The capital of France", return_tensors="pt")["input_ids"]
    written = model.generate(tokens, max_new_tokens=8, do_sample=False, eos_token_id=511, pad_token_id=0)[0]
    with torch.inference_mode():
        best = plain_logits(model, written[None, :-1])[0].argmax(-1)
    assert written[tokens.shape[1] :].tolist() == best[tokens.shape[1] - 1 :].tolist()


def test_kl_divergence_is_that_of_the_rounded_cache() -> None:
    model = llama(**GROUPED)
    text = Passages((tuple(range(7, 47)), tuple(range(90, 120))), "test")
    states = reference_states(model, text)
    original = llama(**GROUPED)
    simulate_fp8_cache(model)
    found = divergence(model, states, text)
    expected, tokens = 0.0, 0
    with torch.inference_mode():
        for passage in text.tokens:
            ids = torch.tensor([passage])
            p, q = original(ids).logits.log_softmax(-1)[0, :-1], plain_logits(model, ids).log_softmax(-1)[0, :-1]
            expected += float((p.exp() * (p - q)).sum())
            tokens += len(passage) - 1
    assert found.kl == pytest.approx(expected / tokens, rel=1e-3)
    assert found.kl > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_numbers_saturate_and_are_rounded_to_e4m3(dtype: torch.dtype) -> None:
    x = torch.tensor([0.0, 1.0, 1.0625, 1.1, 447.0, 460.0, 1000.0, -1e4, 2.0**-9, 2.0**-11], dtype=dtype)
    expected = [0.0, 1.0, 1.0, 1.125, 448.0, 448.0, 448.0, -448.0, 2.0**-9, 0.0]
    assert as_fp8(x).tolist() == expected
    assert as_fp8(x).dtype == dtype
    assert torch.equal(as_fp8(as_fp8(x)), as_fp8(x))


def test_a_model_whose_attention_cannot_be_replaced_is_refused() -> None:
    with pytest.raises(JobError, match="leave kv_cache out"):
        simulate_fp8_cache(tiny_model("bloom"))
