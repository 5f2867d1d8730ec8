"""A sample computed again in another dtype: what is cast, and what is counted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from qcompare.evaluate.divergence import Passages, divergence, reference_states
from qcompare.evaluate.noise import PassageNoise, can_convert, convert, count_changes, other_dtype
from qcompare.models.sources import fetch, load
from qcompare.quantize.simulate import simulate
from qcompare.settings import Settings
from tests.synthetic import sample

TOKENS = tuple(tuple(range(first, first + 40)) for first in (3, 90, 170, 250, 330))


def loaded(folder: Path, settings: Settings, dtype: str = "float32") -> Any:
    return load(fetch(str(folder), settings), "cpu", dtype, settings, hub_kernels=False)[0]


def linear(model: Any) -> list[str]:
    return [name for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"]


def noise(model: Any, original: list[torch.Tensor], dtype: str) -> dict[str, Any]:
    passages = Passages(TOKENS, "a test")
    own = divergence(model, original, passages)
    found = PassageNoise(model, passages, original, own)
    convert(model, dtype)
    return found.compare(model)


def test_a_model_in_another_dtype_is_the_model_that_is_loaded_in_it(tiny_llama: Path, settings: Settings) -> None:
    ids = torch.tensor([TOKENS[0]])
    cast = loaded(tiny_llama, settings)
    assert can_convert(cast, "bfloat16")
    convert(cast, "bfloat16")
    assert cast.dtype is torch.bfloat16
    with torch.inference_mode():
        assert torch.equal(cast(ids).logits, loaded(tiny_llama, settings, "bfloat16")(ids).logits)


def test_tied_weights_stay_tied_and_simulated_ones_keep_their_values(tiny_qwen3: Path, settings: Settings) -> None:
    model = loaded(tiny_qwen3, settings)
    name = linear(model)[0]
    simulate(model, {name: "MXFP4"})
    before = model.get_submodule(name).weight.clone()
    convert(model, "bfloat16")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert torch.equal(model.get_submodule(name).weight.float(), before)


def test_four_bits_are_noisier_than_sixteen_and_the_same_dtype_has_no_noise(
    tiny_llama: Path, settings: Settings
) -> None:
    original = reference_states(loaded(tiny_llama, settings), Passages(TOKENS, "a test"))
    bf16 = noise(loaded(tiny_llama, settings), original, "bfloat16")
    rounded = loaded(tiny_llama, settings)
    simulate(rounded, dict.fromkeys(linear(rounded), "MXFP4"))
    mxfp4 = noise(rounded, original, "bfloat16")
    same = loaded(tiny_llama, settings)
    simulate(same, dict.fromkeys(linear(same), "MXFP4"))
    itself = noise(same, original, "float32")
    assert 0 < bf16["kl"] < mxfp4["kl"] / 10
    assert bf16["kl_shift"] == pytest.approx(bf16["kl"])
    assert itself["kl"] == pytest.approx(0, abs=1e-6)
    assert itself["kl_shift"] == pytest.approx(0, abs=1e-6)
    assert bf16["tokens"] == 4 * 39


@pytest.mark.parametrize(("own", "other"), [("bfloat16", "float32"), ("float16", "float32")])
def test_wider_dtypes_are_compared_with_narrow_ones(
    own: str, other: str, tiny_llama: Path, settings: Settings
) -> None:
    original = reference_states(loaded(tiny_llama, settings, own), Passages(TOKENS, "a test"))
    model = loaded(tiny_llama, settings, own)
    simulate(model, dict.fromkeys(linear(model), "MXFP4"))
    assert noise(model, original, other)["kl"] > 0


def test_weights_that_were_made_in_inference_mode_are_cast(tiny_llama: Path, settings: Settings) -> None:
    model, ids = loaded(tiny_llama, settings), torch.tensor([TOKENS[0]])
    layer = model.get_submodule(linear(model)[0])
    with torch.inference_mode():
        layer.weight = torch.nn.Parameter(layer.weight.clone(), requires_grad=False)
    convert(model, "bfloat16")
    with torch.no_grad():
        assert model(ids).logits.dtype is torch.bfloat16


def test_a_rounded_head_is_compared_with_itself(tiny_llama: Path, settings: Settings) -> None:
    original = reference_states(loaded(tiny_llama, settings), Passages(TOKENS, "a test"))
    model = loaded(tiny_llama, settings)
    simulate(model, {"lm_head": "MXFP4"})
    found = noise(model, original, "float32")
    assert found["kl"] == pytest.approx(0, abs=1e-6)
    assert found["kl_shift"] == pytest.approx(0, abs=1e-6)


def test_the_other_dtype() -> None:
    assert (other_dtype("float32"), other_dtype("bfloat16"), other_dtype("float16")) == (
        "bfloat16",
        "float32",
        "float32",
    )


def test_no_room_for_wider_weights(tiny_llama: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from qcompare.evaluate.scoring import memory

    model = loaded(tiny_llama, settings, "bfloat16")
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    assert not can_convert(model, "float32")
    assert can_convert(model, "float16")


def test_changed_lost_and_gained_answers() -> None:
    own = [
        sample(doc_id=0),
        sample(doc_id=1),
        sample(doc_id=2, acc=0.0, loglikelihoods=(-3.0, -2.0, -4.0, -5.0)),
        sample(doc_id=3, acc=0.0, loglikelihoods=(-3.0, -2.0, -4.0, -5.0)),
        sample(doc_id=4, options=(" x",), loglikelihoods=(-1.0,), is_greedy=(True,)),
        sample(doc_id=5),
    ]
    other = [
        own[0],
        replace(own[1], acc=0.0, loglikelihoods=(-3.0, -2.0, -4.0, -5.0)),
        replace(own[2], acc=1.0, loglikelihoods=(-1.0, -2.0, -4.0, -5.0)),
        replace(own[3], loglikelihoods=(-3.0, -4.0, -2.0, -5.0)),  # wrong in another way
        replace(own[4], acc=0.0, is_greedy=(False,)),
        replace(own[5], prompt_hash="another prompt"),
    ]
    assert count_changes(own, own) == {"questions": 6, "changed": 0, "lost": 0, "gained": 0}
    assert count_changes(own, other) == {"questions": 5, "changed": 4, "lost": 2, "gained": 1}


def test_weights_that_a_library_holds_in_a_mapping_of_its_own_are_cast(tiny_llama: Path, settings: Settings) -> None:
    """compressed-tensors' copies what it is given into the weight that it has, whose dtype stays."""

    class Copying(dict[str, Any]):
        def __setitem__(self, name: str, value: Any) -> None:
            self[name].data.copy_(value)

    model = loaded(tiny_llama, settings)
    layer = model.get_submodule(linear(model)[0])
    layer._parameters = Copying(layer._parameters)
    convert(model, "bfloat16")
    assert layer.weight.dtype is torch.bfloat16
