"""The scorer gives lm-eval's own answers: log-likelihoods within 1e-3 in float32 and the same greedy flags."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lm_eval.models.huggingface import HFLM

from qcompare.evaluate.scoring.lm import PackedLM
from qcompare.evaluate.scoring.memory import Budget
from qcompare.evaluate.scoring.modes import ScoringMode
from qcompare.evaluate.scoring.threads import Workers

from .conftest import CONFIGS, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore")
WORDS = ["The", " quick", " fox", " dog", "  ", " naïve", "東京", "🙂", " why?", "\n", "a", " lazy", "</s>", "<s>"]
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map("".join)
PACKED = [
    "llama",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma2_eager",
    "gemma3",
    "mistral",
    "mistral_window",
    "phi3",
    "gpt_neox",
]
_lms: dict[Any, tuple[HFLM, PackedLM]] = {}


def both(name: str, tokenizer: Any, **kwargs: Any) -> tuple[HFLM, PackedLM]:
    key = (name, str(kwargs))
    if key not in _lms:
        model, bos = tiny_model(name), kwargs.get("add_bos_token")
        theirs = HFLM(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=4,
            max_length=40,
            add_bos_token=bos,
            softmax_dtype="float32",
        )
        ours = PackedLM(model, tokenizer, max_length=40, **{"budget": Budget(64), "workers": Workers(1, 1), **kwargs})
        _lms[key] = theirs, ours
    return _lms[key]


def requests(pairs: list[tuple[str, str]]) -> list[Any]:
    return [SimpleNamespace(args=pair, task_name=None) for pair in pairs]


def scoreable(lm: HFLM, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without what lm-eval refuses (nothing to score, longer than the model) or scores at the wrong place.

    The latter: two requests that read the same tokens but ask for different numbers of them; lm-eval's logits cache
    (``Collator.get_cache``) then reads the shorter one's from the wrong end.
    """
    good, seen = [], {}
    for context, continuation in pairs:
        if context:
            beginning, end = lm._encode_pair(context, continuation)
        else:
            beginning, end = [1], lm.tok_encode(continuation, add_special_tokens=False)
            beginning, end = ([2], end) if end[:1] != [2] and lm.prefix_token_id == 2 else (beginning, end)
            if end[0] == lm.prefix_token_id:
                beginning, end = end[:1], end[1:]
        read = tuple((beginning + end)[:-1])
        if beginning and 0 < len(end) <= 40 and seen.setdefault(read, len(end)) == len(end):
            good.append((context, continuation))
    return good


def assert_same(theirs: HFLM, ours: PackedLM, pairs: list[tuple[str, str]]) -> None:
    pairs = scoreable(theirs, pairs)
    if not pairs:
        return
    expected = theirs.loglikelihood(requests(pairs), disable_tqdm=True)
    got = ours.loglikelihood(requests(pairs), disable_tqdm=True)
    assert [one[0] for one in got] == pytest.approx([one[0] for one in expected], abs=1e-3)
    assert [one[1] for one in got] == [one[1] for one in expected]


@pytest.mark.parametrize("name", PACKED)
def test_packed_models_agree_with_their_plain_forward(name: str, tokenizer: Any) -> None:
    _, ours = both(name, tokenizer)
    assert (ours.mode, ours.mode_choice.refused) == ("packed", {})


@pytest.mark.parametrize(("name", "path"), [("bloom", "padded"), ("mamba", "whole")])
def test_other_models_are_scored_another_exact_way(name: str, path: str, tokenizer: Any) -> None:
    theirs, ours = both(name, tokenizer)
    assert ours.mode == path
    assert "packed" in ours.mode_choice.refused
    assert_same(
        theirs, ours, [("The quick fox", " dog"), ("The quick", " lazy dog"), ("", "fox"), ("a" * 60, " dog")]
    )


@pytest.mark.parametrize("name", [name for name in CONFIGS if name in PACKED])
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    contexts=st.lists(words | st.just("") | words.map(lambda w: w * 8), min_size=1, max_size=4),
    options=st.lists(words, min_size=1, max_size=5),
)
def test_any_requests_score_as_in_lm_eval(name: str, tokenizer: Any, contexts: list[str], options: list[str]) -> None:
    theirs, ours = both(name, tokenizer)
    assert_same(theirs, ours, [(context, option) for context in contexts for option in options])


@pytest.mark.parametrize("bos", [True, False])
def test_bos_setting_is_lm_evals(bos: bool, tokenizer: Any) -> None:
    theirs, ours = both("llama", tokenizer, add_bos_token=bos)
    assert_same(theirs, ours, [("The fox", " dog"), ("<s>The fox", " dog"), ("", " dog"), ("The ", "dog")])


def test_shared_few_shot_prefix_is_computed_once(tokenizer: Any) -> None:
    theirs, _ = both("llama", tokenizer)
    ours = PackedLM(tiny_model("llama"), tokenizer, max_length=40, budget=Budget(32), workers=Workers(1, 1))
    shots = "Question: why? Answer: because. "
    pairs = [
        (shots + question, answer)
        for question in ("fox dog lazy", "dog fox quick", "東京")
        for answer in (" a", " b", " lazy dog")
    ]
    assert_same(theirs, ours, pairs)
    assert ours.computed < 0.6 * ours.naive


def test_several_workers_give_the_same_scores(tokenizer: Any) -> None:
    theirs, ours = both("qwen3", tokenizer, workers=Workers(3, 1), budget=Budget(8))
    assert_same(theirs, ours, [(context, option) for context in WORDS for option in (" fox dog", " a", "東京")])


def test_out_of_memory_lowers_the_budget_and_changes_nothing(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = both("llama", tokenizer, budget=Budget(48), workers=Workers(1, 1))
    import qcompare.evaluate.scoring.packed as packed

    plain = packed.hidden_states

    def tight(model: Any, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        if tokens.shape[1] > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(model, tokens, positions)

    monkeypatch.setattr(packed, "hidden_states", tight)
    assert_same(
        theirs, ours, [(word * 3, option) for word in ("fox", "dog", "a") for option in (" lazy", " quick fox")]
    )
    assert ours.budget.tokens <= 24


def test_the_way_found_for_the_original_model_is_taken_for_its_recipes(tokenizer: Any) -> None:
    choice = replace(PackedLM(tiny_model("llama"), tokenizer).mode_choice, mode=ScoringMode.PADDED)
    assert PackedLM(tiny_model("llama"), tokenizer, mode_choice=choice).mode == "padded"


def test_rolling_and_generation_are_hflms(tokenizer: Any) -> None:
    theirs, ours = both("llama", tokenizer)
    text = requests([("The quick brown fox jumps over the lazy dog. " * 3,)])
    assert ours.loglikelihood_rolling(text, True) == pytest.approx(theirs.loglikelihood_rolling(text, True), abs=1e-3)
    asked = requests([("The quick", {"until": ["\n"], "max_gen_toks": 5})])
    assert ours.generate_until(asked, True) == theirs.generate_until(asked, True)


def test_progress_counts_tokens_to_the_total(tokenizer: Any) -> None:
    seen: list[tuple[int, int]] = []
    ours = PackedLM(
        tiny_model("llama"), tokenizer, max_length=40, progress=lambda done, total: seen.append((done, total))
    )
    ours.loglikelihood(requests([("The fox", " dog"), ("why?", " a")]))
    assert seen[-1][0] == seen[-1][1]
