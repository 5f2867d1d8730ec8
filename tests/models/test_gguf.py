"""GGUF files: headers, and weights that are those of transformers' own reader."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from qcompare.errors import ModelUnavailable
from qcompare.models.gguf import nominal_bits, read_gguf, read_tensors
from tests.tiny import write_gguf


@pytest.fixture
def file(tiny_llama: Path, tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "tiny.gguf", tiny_llama, "Q8_0")


def test_a_header_tells_architecture_sizes_vocabulary_and_tensors(file: Path) -> None:
    found = read_gguf(file)
    assert (found.architecture, found.value("block_count"), found.value("embedding_length")) == ("llama", 4, 64)
    assert len(found.tokens) == 418
    assert found.tokens[1] == "<|im_start|>"
    by_name = {tensor.name: tensor for tensor in found.tensors}
    assert by_name["blk.0.ffn_up.weight"].shape == (128, 64)
    assert by_name["blk.0.ffn_up.weight"].type_name == "Q8_0"
    assert found.file_type == "Q8_0"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q5_1", "Q4_0", "Q4_1"])
def test_weights_are_those_of_transformers_reader(kind: str, tiny_llama: Path, tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", tiny_llama, kind)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=file.name, dtype=torch.float32).state_dict()
    steps: list[int] = []
    ours = read_tensors(
        read_gguf(file), AutoConfig.from_pretrained(tiny_llama), "float32", lambda d, n: steps.append(d)
    )
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert steps == list(range(1, len(ours) + 1))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_text("hello, world")
    with pytest.raises(ModelUnavailable, match="is no GGUF file"):
        read_gguf(tmp_path / "x.gguf")
    (tmp_path / "x.gguf").write_bytes(b"")
    with pytest.raises(ModelUnavailable, match="is no GGUF file"):
        read_gguf(tmp_path / "x.gguf")


def test_every_cut_is_found(file: Path) -> None:
    whole = file.read_bytes()
    for size in [4, 20, 30, *range(100, 12_000, 517), len(whole) // 2, len(whole) - 1]:
        file.write_bytes(whole[:size])
        with pytest.raises(ModelUnavailable, match=r"damaged|truncated") as caught:
            read_gguf(file)
        assert "\n" not in str(caught.value)


def test_a_header_with_impossible_counts_is_damaged(file: Path) -> None:
    whole = bytearray(file.read_bytes())
    struct.pack_into("<Q", whole, 16, 2**60)
    file.write_bytes(whole)
    with pytest.raises(ModelUnavailable, match="damaged GGUF file"):
        read_gguf(file)


def test_one_part_of_several_is_refused(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", tiny_llama, "F16")
    content = file.read_bytes()
    key = b"general.license"
    at = content.index(key)
    value = struct.pack("<Q", 11) + b"split.count" + struct.pack("<IH", 2, 3)
    end = at + len(key) + 4 + 8 + 3
    file.write_bytes(content[: at - 8] + value + content[end:])
    with pytest.raises(ModelUnavailable, match="one of 3 parts"):
        read_gguf(file)


@pytest.mark.parametrize(("name", "bits"), [("Q4_K", 4), ("IQ3_XXS", 3), ("Q8_0", 8), ("F16", 16), ("TQ1_0", 1)])
def test_nominal_bits(name: str, bits: int) -> None:
    assert nominal_bits(name) == bits


@pytest.mark.demo
@pytest.mark.filterwarnings("ignore")
def test_a_k_quant_of_the_demo_loads_as_with_transformers(
    demo_settings: object, quantized: Callable[..., Path]
) -> None:
    from qcompare.demo.bundle import bundle_at

    model = bundle_at(demo_settings).model  # type: ignore[arg-type]
    file = quantized(model, "gguf:q4_k_m", "gguf:q4_k_m")
    found = read_gguf(file)
    assert found.file_type == "Q4_K_M"
    theirs = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.bfloat16)
    ours = read_tensors(found, AutoConfig.from_pretrained(model), "bfloat16", lambda d, n: None)
    state = theirs.state_dict()
    assert set(state) - set(ours) <= {"lm_head.weight"}  # tied
    assert all(torch.equal(ours[name], state[name]) for name in ours)
