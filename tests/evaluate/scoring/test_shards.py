"""Models that do not lie on one device compute the same: blocks that accelerate brings from RAM, and two GPUs.

There are no GPUs here. What accelerate does at every block is real, with the CPU in the GPU's place, and torch's
`meta` device in that of a second one.
"""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import cpu_offload
from accelerate.hooks import AlignDevicesHook, add_hook_to_module

from qcompare.errors import JobError
from qcompare.evaluate.divergence import Passages, divergence, reference_states
from qcompare.evaluate.generate import generate
from qcompare.evaluate.scoring import attention
from qcompare.evaluate.scoring.attention import How, PrefixStore, attend_row, packed_model, serving
from qcompare.evaluate.scoring.head import hidden_states, logits_of, split_model
from qcompare.evaluate.scoring.lm import PackedLM
from qcompare.evaluate.scoring.memory import Budget
from qcompare.evaluate.scoring.modes import ModeChoice, ScoringMode
from qcompare.evaluate.scoring.places import Places, SharedPrefix, Step
from qcompare.evaluate.scoring.plan import make_plan
from qcompare.evaluate.scoring.rows import make_buckets, make_row
from qcompare.evaluate.scoring.sequences import unique_sequences
from qcompare.evaluate.scoring.threads import Workers
from qcompare.models.sources import fetch, load
from qcompare.quantize.simulate import simulate
from qcompare.quantize.switchable import SwitchableModel
from qcompare.recipes.scores.responses import responses
from qcompare.settings import Settings

from .conftest import TEXT, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore")
PASSAGES = Passages(((5, 6, 7, 8, 9, 10, 11, 12, 13, 14), (9, 8, 7, 6, 5, 4, 3, 11, 12)), "a test")
Sharded = Callable[[Any], Any]


def in_ram(model: Any) -> Any:
    """The last two blocks and the head wait in RAM; the head stays where the others compute."""
    for block in model.model.layers[1:]:
        cpu_offload(block, execution_device=torch.device("cpu"))
    assert model.model.layers[2].mlp.up_proj.weight.is_meta
    return model


def names(model: Any) -> list[str]:
    return [
        name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and "layers" in name
    ]


@pytest.mark.parametrize("mode", [ScoringMode.PACKED, ScoringMode.PADDED, ScoringMode.LM_EVAL])
@pytest.mark.parametrize("scheme", [None, "MXFP4", "FP8_DYNAMIC"])
def test_scores_are_the_same(mode: ScoringMode, scheme: str | None, tokenizer: Any) -> None:
    found = []
    for place in (lambda model: model, in_ram):
        model = place(deepcopy(tiny_model("llama")))
        if scheme:
            simulate(model, dict.fromkeys(names(model), scheme))
        lm = PackedLM(
            model, tokenizer, max_length=40, budget=Budget(64), workers=Workers(1, 1),
            mode_choice=ModeChoice(mode, {}, 0.0, None),
        )  # fmt: skip
        pairs = [(text[:8], text[8:end]) for text in TEXT for end in (12, 16)]
        found.append(lm.loglikelihood([SimpleNamespace(args=pair, task_name=None) for pair in pairs], True))
    assert found[0] == found[1]


def test_kl_divergence_and_answers_are_the_same(tiny_llama: Path, settings: Settings) -> None:
    found = []
    for place in (lambda model: model, in_ram):
        model, tokenizer = load(fetch(str(tiny_llama), settings), "cpu", "float32", settings, False)
        model = place(model)
        states = reference_states(model, PASSAGES)
        simulate(model, dict.fromkeys(names(model), "MXFP4"))
        texts = [generate(model, tokenizer, ("Why?", "The capital"), 6, packed=packed) for packed in (True, False)]
        answers = [[one.text for one in some] for some in texts]
        found.append((divergence(model, states, PASSAGES), answers))
    assert found[0] == found[1]
    assert found[0][0].kl > 0


def test_layers_are_scored_on_hooked_blocks_and_refused_where_weights_are_in_ram() -> None:
    def scores(model: Any) -> torch.Tensor:
        switchable = SwitchableModel(model, names(model), ("MXFP4", "BF16"))
        one = responses(switchable, PASSAGES.tokens, lambda number, logits: iter([logits.softmax(-1)]))
        return torch.stack([each.sum(0) for each in one])

    plain, hooked = deepcopy(tiny_model("llama")), deepcopy(tiny_model("llama"))
    for block in hooked.model.layers:
        add_hook_to_module(block, AlignDevicesHook(execution_device=torch.device("cpu")))
    assert torch.equal(scores(plain), scores(hooked))
    with pytest.raises(JobError, match="layers cannot be scored"):
        SwitchableModel(in_ram(plain), names(plain), ("MXFP4",))


@pytest.mark.parametrize("name", ["llama", "gemma2", "gemma3", "qwen3"])
def test_tensors_of_two_devices_never_meet(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def attend(bucket: Any, x: Any, how: Any) -> torch.Tensor:
        places = [bucket.index, bucket.allowed, bucket.positions, x.q, x.k, x.v, *(x.before or ())]
        assert {tensor.device for tensor in places} == {x.q.device}
        return attention_of(bucket, x, how)

    attention_of = attention._attend
    monkeypatch.setattr(attention, "_attend", attend)
    model, second = deepcopy(tiny_model(name)), torch.device("meta")
    tokens = [(tuple(range(3, 23)), (9, *range(5, 5 + length))) for length in (2, 3, 5)] + [((4,), tuple(range(9)))]
    plan = make_plan(unique_sequences(tokens, 64), block_tokens=4, saved_tokens=1)
    for part in (*model.model.layers[1:], model.model.norm):
        part.to(second)
        add_hook_to_module(part, AlignDevicesHook(execution_device=second))
    with torch.no_grad(), packed_model(model), split_model(model):
        row, store = make_row(plan.blocks, list(range(len(plan.blocks))), torch.device("cpu")), PrefixStore()
        assert len(make_buckets(row).buckets) > 1
        with serving(attend_row(row, store)):
            hidden = hidden_states(model, row.tokens, row.positions)[0]
        kept = store.layers(row.kept[0][0])
        assert [kept[layer][0].device.type for layer in range(3)] == ["cpu", "meta", "meta"]
        model.lm_head = deepcopy(model.lm_head).to(second)
        assert logits_of(model, hidden).shape == (len(row.tokens[0]), 320)


def test_steps_of_answers_attend_on_the_device_of_each_layer() -> None:
    places = Places(2, 64)
    step = Step(places, PrefixStore(), [0, 4], [3, 1], [SharedPrefix()] * 2, torch.device("cpu"))
    for layer, device in enumerate(("cpu", "meta", "cpu")):
        query = torch.ones(1, 4, 4, 16, device=device)
        key, value = (torch.ones(1, 2, 4, 16, device=device) for _ in range(2))
        out = step.attend(layer, query, key, value, How(1.0, None, None))
        assert (out.device.type, out.shape) == (device, (1, 4, 4, 16))
        assert all(part.device.type == device for part in places.layer(layer, key[0], value[0]))
