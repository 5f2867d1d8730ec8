"""Answers written side by side are those that lm-eval's own backend gives each question alone."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM

from qcompare.evaluate.cached import CachedLM
from qcompare.evaluate.scoring import greedy
from qcompare.evaluate.scoring.memory import Budget
from qcompare.evaluate.scoring.threads import Workers
from qcompare.settings import Settings

from .conftest import tiny_model
from .test_batched import LONG, PROMPTS, SHORT, Memory
from .test_scoring import PACKED

pytestmark = pytest.mark.filterwarnings("ignore")
SHOTS = "Question: why? Answer: because the fox. "
ASKED = [*PROMPTS, *(SHOTS + prompt for prompt in PROMPTS), SHOTS + PROMPTS[0], SHOTS.strip()]
"""Of many lengths, of one beginning, twice the same, one the beginning of others."""
UNTIL = {"until": ["ow", "\n\n"], "max_gen_toks": 9, "do_sample": False, "temperature": 0.0}


def requests(settings: dict[str, Any] = SHORT, prompts: list[str] = ASKED) -> list[Any]:
    return [SimpleNamespace(args=(prompt, settings)) for prompt in prompts]


def make(tokenizer: Any, name: str = "llama", batch_size: int = 4, **changes: Any) -> CachedLM:
    changes = {"budget": Budget(64), "workers": Workers(2, 1), **changes}
    return CachedLM(tiny_model(name), tokenizer, batch_size=batch_size, **changes)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Tokens of each forward pass."""
    plain, seen = greedy.hidden_states, []

    def counted(model: Any, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        seen.append(tokens.shape[1])
        return plain(model, tokens, positions)

    monkeypatch.setattr(greedy, "hidden_states", counted)
    return seen


@pytest.mark.parametrize("least_saved", [greedy.LEAST_SAVED, 0.0], ids=["", "any beginning is shared"])
@pytest.mark.parametrize("name", PACKED)
def test_answers_are_lm_evals_own(
    name: str, least_saved: float, tokenizer: Any, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greedy, "LEAST_SAVED", least_saved)
    asked = [*requests(UNTIL), *requests(LONG)]
    theirs = HFLM(pretrained=tiny_model(name), tokenizer=tokenizer, batch_size=1)
    assert make(tokenizer, name).generate_until(asked) == theirs.generate_until(asked, disable_tqdm=True)
    assert passes


def test_a_long_prompt_loses_its_beginning_as_in_lm_eval(tokenizer: Any, passes: list[int]) -> None:
    asked = requests(UNTIL, [SHOTS * 3, SHOTS * 4, "a"])
    theirs = HFLM(pretrained=tiny_model("llama"), tokenizer=tokenizer, batch_size=1, max_length=40)
    assert make(tokenizer, max_length=40).generate_until(asked) == theirs.generate_until(asked, disable_tqdm=True)
    assert passes


def test_a_beginning_is_read_once_and_no_place_stays_empty(
    tokenizer: Any, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greedy, "LOOKUP", 1000)  # nothing is read ahead
    lm = make(tokenizer, batch_size=4, workers=Workers.one())
    asked = requests({"until": [], "max_gen_toks": 5}, [SHOTS + prompt for prompt in PROMPTS])
    lm.generate_until(asked)
    tokens = [len(lm.tok_encode(one.args[0])) for one in asked]
    beginning = len(lm.tok_encode(SHOTS.strip()))
    assert passes.count(4) >= 10  # 8 answers of 5 tokens, 4 at a time
    assert sum(passes) <= sum(tokens) - 7 * beginning + 8 * 5


@pytest.mark.parametrize(("name", "tokens"), [("gemma", (9,)), ("gpt_neox", (5, 6, 7))])
def test_a_text_that_repeats_itself_takes_fewer_passes(
    name: str, tokens: tuple[int, ...], passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [greedy.Prompt(tokens, 40, lambda new: False)]

    def answers() -> dict[int, list[int]]:
        return dict(greedy.answer_greedily(tiny_model(name), prompts, 1, Budget(64), Workers.one()))

    found, few = answers(), len(passes)
    monkeypatch.setattr(greedy, "LOOKUP", 1000)
    assert answers() == found
    assert few < 0.8 * (len(passes) - few)


def test_an_interrupted_evaluation_goes_on_with_the_next_question(tokenizer: Any, passes: list[int]) -> None:
    undisturbed = make(tokenizer).generate_until(requests())
    memory, lm = Memory(), make(tokenizer)
    lm.answers_at = memory.at
    expected = len(passes)

    def stop_late(done: int, total: int) -> None:
        if len(memory.batches) >= 11:
            raise KeyboardInterrupt

    lm.progress = stop_late
    with pytest.raises(KeyboardInterrupt):
        lm.generate_until(requests())
    kept = len(memory.batches)
    assert set(memory.batches) == {1}
    del passes[:]
    again = make(tokenizer)
    again.answers_at = memory.at
    assert again.generate_until(requests()) == undisturbed
    assert again.reused >= kept  # a question that is asked twice is kept once
    assert len(passes) < expected


def test_out_of_memory_halves_the_places_and_changes_no_answer(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = make(tokenizer, batch_size=8).generate_until(requests())
    plain, most, tried = greedy._Run.add_tokens, 2, []

    def tight(run: Any) -> None:
        tried.append(len(run.active))
        if len(run.active) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        plain(run)

    monkeypatch.setattr(greedy._Run, "add_tokens", tight)
    lm = make(tokenizer, batch_size=8)
    assert lm.generate_until(requests()) == expected
    assert tried[:3] == [8, 4, 2] and max(tried[3:]) == 2
    assert lm.batch_size == 2
    most = 0
    with pytest.raises(torch.OutOfMemoryError):
        make(tokenizer).generate_until(requests())


@pytest.mark.parametrize(
    "extra", [{"repetition_penalty": 3.0}, {"num_beams": 2}, {"do_sample": True, "temperature": 0.5}]
)
def test_what_is_not_simply_greedy_is_left_to_lm_eval(
    extra: dict[str, Any], tokenizer: Any, passes: list[int]
) -> None:
    asked = requests(SHORT | extra, PROMPTS)
    torch.manual_seed(0)
    found = make(tokenizer, batch_size=1).generate_until(asked)
    assert not passes
    torch.manual_seed(0)
    theirs = HFLM(pretrained=tiny_model("llama"), tokenizer=tokenizer, batch_size=1)
    assert found == theirs.generate_until(asked, disable_tqdm=True)


def test_a_models_own_penalty_is_left_to_lm_eval(
    tokenizer: Any, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_model("llama").generation_config, "repetition_penalty", 3.0)
    found = make(tokenizer).generate_until(requests(SHORT, PROMPTS))
    assert not passes
    theirs = HFLM(pretrained=tiny_model("llama"), tokenizer=tokenizer, batch_size=1)
    assert found == theirs.generate_until(requests(SHORT, PROMPTS), disable_tqdm=True)


@pytest.mark.demo
def test_the_demo_models_answers_are_lm_evals_own(demo_settings: Settings, passes: list[int]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from qcompare.demo.bundle import ensure_bundle
    from qcompare.evaluate.tasks.manager import task_manager

    task = task_manager(["gsm8k"], demo_settings).manager.load("gsm8k")["tasks"]["gsm8k"]
    task.set_config("num_fewshot", 2)
    task.set_fewshot_seed(42)
    task.build_all_requests(limit=4, rank=0, world_size=1)
    asked = task.instances
    for request in asked:
        request.arguments[1]["max_gen_toks"] = 24
    folder = ensure_bundle(demo_settings, print).model
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = CachedLM(model, tokenizer, batch_size=3).generate_until(asked)
    assert found == HFLM(pretrained=model, tokenizer=tokenizer, batch_size=2).generate_until(asked, disable_tqdm=True)
    assert passes
