"""Layers found from names and shapes are those that auto-round would quantize."""

from collections.abc import Callable
from math import prod
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompare.models.layers import expert_count, linear_layers, num_params
from qcompare.models.sources import describe
from qcompare.settings import Settings

BLOCK = ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


def auto_round_layers(folder: Path) -> dict[str, tuple[int, int]]:
    """Name → (outputs, inputs) of what auto-round quantizes by default in a model, MX formats."""
    from auto_round.utils import get_block_names, get_layer_names_in_block
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    modules = dict(model.named_modules())
    names = get_layer_names_in_block(model, quant_block_list=get_block_names(model))
    return {name: tuple(modules[name].weight.shape) for name in names if modules[name].weight.shape[1] % 32 == 0}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("fixture", ["tiny_llama", "tiny_qwen3", "tiny_gemma"])
def test_layers_of_a_folder_are_those_auto_round_quantizes(
    fixture: str, request: pytest.FixtureRequest, settings: Settings
) -> None:
    folder = request.getfixturevalue(fixture)
    layers = describe(str(folder), settings).layers
    assert {layer.name: (layer.out_features, layer.in_features) for layer in layers} == auto_round_layers(folder)
    assert [layer.block for layer in layers] == sorted(layer.block for layer in layers)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_layers_with_inputs_not_in_multiples_of_32_are_left_out(
    make_model: Callable[..., Path], settings: Settings
) -> None:
    folder = make_model("LlamaConfig", intermediate_size=112, num_hidden_layers=1)
    names = [layer.name for layer in describe(str(folder), settings).layers]
    assert not any("down_proj" in name for name in names)
    assert set(names) == set(auto_round_layers(folder))


def test_layers_come_in_the_order_of_the_model(tiny_llama: Path, settings: Settings) -> None:
    last = [layer.name.rpartition(".")[2] for layer in describe(str(tiny_llama), settings).layers[:7]]
    assert last == ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@given(
    stem=st.sampled_from(["model.layers", "transformer.h", "gpt_neox.layers", "model.decoder.layers"]),
    blocks=st.integers(1, 12),
    hidden=st.integers(1, 4).map(lambda n: 32 * n),
    odd=st.booleans(),
)
def test_every_block_gives_its_linear_layers_and_nothing_else(stem: str, blocks: int, hidden: int, odd: bool) -> None:
    inner = hidden + 8 if odd else 2 * hidden
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (4096, hidden),
        "lm_head.weight": (4096, hidden),
    }
    for block in range(blocks):
        for layer in BLOCK:
            inputs = inner if "down" in layer else hidden
            shapes[f"{stem}.{block}.{layer}.weight"] = (hidden, inputs)
            shapes[f"{stem}.{block}.{layer}.bias"] = (hidden,)
        shapes[f"{stem}.{block}.input_layernorm.weight"] = (hidden,)
        shapes[f"{stem}.{block}.mlp.gate.weight"] = (8, hidden)
    layers = linear_layers(shapes, "any")
    expected = [layer for layer in BLOCK if not (odd and "down" in layer)]
    assert [layer.name for layer in layers] == [f"{stem}.{b}.{layer}" for b in range(blocks) for layer in expected]
    assert all(layer.numel == prod(shapes[layer.name + ".weight"]) for layer in layers)


def test_blocks_past_the_configured_ones_are_left_out() -> None:
    shapes = {f"model.layers.{block}.mlp.up_proj.weight": (64, 64) for block in range(5)}
    assert {layer.block for layer in linear_layers(shapes, "any", num_blocks=4)} == {0, 1, 2, 3}


def test_a_checkpoint_without_its_body_prefix_gets_the_models_names() -> None:
    (layer,) = linear_layers({"h.0.mlp.c_fc.weight": (64, 256)}, "gpt2")
    assert (layer.name, layer.in_features, layer.out_features) == ("transformer.h.0.mlp.c_fc", 64, 256)


def test_a_tied_head_counts_once() -> None:
    shapes = {"model.embed_tokens.weight": (10, 4), "lm_head.weight": (10, 4)}
    assert (num_params(shapes, tied=True), num_params(shapes, tied=False)) == (40, 80)


@pytest.mark.parametrize(
    "shapes",
    [
        {f"model.layers.0.mlp.experts.{n}.up_proj.weight": (64, 64) for n in range(8)},
        {"model.layers.0.mlp.experts.gate_up_proj": (8, 64, 64)},
    ],
)
def test_experts_are_counted(shapes: dict[str, tuple[int, ...]]) -> None:
    assert expert_count(shapes) == 8
