"""Checkpoints that the libraries themselves wrote become models with the weights that the libraries would use."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from qcompare.demo.bundle import bundle_at
from qcompare.errors import ModelUnavailable
from qcompare.models.checkpoint import fetch_checkpoint
from qcompare.models.checkpoint_loading import Loaded, _unpack_torchao, load_checkpoint
from qcompare.models.facts import LocalModel
from qcompare.models.packed_ints import unpack_awq, unpack_gptq
from qcompare.models.sources import describe
from qcompare.settings import Settings
from qcompare.study.result import Faithful
from tests.tiny import make_tokenizer, save_quantized, write_gguf

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own, of many kinds
LAYER = "model.layers.1.mlp.up_proj"


def opened(checkpoint: Path, model: Path, settings: Settings, dtype: str = "float32") -> Loaded:
    tokenizer = AutoTokenizer.from_pretrained(model)
    found = fetch_checkpoint(str(checkpoint), describe(str(model), settings), settings, print)
    base = LocalModel(model, "base", "folder", "r")
    return load_checkpoint(found, base, tokenizer, "cpu", dtype, settings, False, lambda done, total: None)


def error_of(loaded: Loaded, model: Path) -> float:
    """Mean difference of logits to the original, in its standard deviations."""
    original = AutoModelForCausalLM.from_pretrained(model, dtype=loaded.model.dtype).eval()
    tokens = loaded.tokenizer("The capital of France is Paris, and it is famous.", return_tensors="pt")
    with torch.inference_mode():
        theirs, ours = original(**tokens).logits.float(), loaded.model(**tokens).logits.float()
    return float((ours - theirs).abs().mean() / theirs.std())


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_gptq_weights_are_those_of_auto_rounds_layer(bits: int) -> None:
    from auto_round_extension.torch.qlinear_torch_zp import QuantLinear

    torch.manual_seed(bits)
    linear = torch.nn.Linear(64, 96, bias=False)
    scales = linear.weight.detach().reshape(96, 2, 32).abs().amax(-1) / (2 ** (bits - 1) - 1)
    zeros = torch.full((96, 2), 2.0 ** (bits - 1))
    theirs = QuantLinear(bits, 32, 64, 96, bias=False)
    theirs.pack(linear, scales, zeros, device="cpu")
    ours = unpack_gptq(theirs.qweight, theirs.qzeros, theirs.scales)
    assert torch.equal(ours.float(), theirs(torch.eye(64)).T)
    assert (ours - linear.weight).abs().max() <= scales.max()
    order = torch.randperm(64)
    shuffled = unpack_gptq(theirs.qweight, theirs.qzeros, theirs.scales, g_idx=order // 32)
    same_group = order // 32 == torch.arange(64) // 32
    assert torch.equal(shuffled[:, same_group], ours[:, same_group])
    assert not torch.equal(shuffled, ours)


def test_awq_weights_are_those_of_auto_rounds_unpacking() -> None:
    from auto_round.export.export_to_awq.utils import dequantize_gemm

    torch.manual_seed(0)
    packed = torch.randint(-(2**31), 2**31 - 1, (64, 12), dtype=torch.int64).int()
    zeros = torch.randint(-(2**31), 2**31 - 1, (2, 12), dtype=torch.int64).int()
    scales = torch.rand(2, 96).half()
    theirs = dequantize_gemm(packed, zeros, scales, 4, 32)
    assert torch.equal(unpack_awq(packed, zeros, scales), theirs.T)


@pytest.mark.parametrize("format", ["auto_gptq", "auto_awq", "auto_round"])
def test_packed_integers_of_every_layout_are_the_same_weights(
    format: str, tiny_llama: Path, quantized: Callable[..., Path], settings: Settings
) -> None:
    loaded = opened(quantized(tiny_llama, "W4A16", format, group_size=32), tiny_llama, settings)
    assert loaded.faithful is Faithful.WEIGHTS
    assert loaded.other_tokenizer is None
    original = load_file(tiny_llama / "model.safetensors")[f"{LAYER}.weight"]
    groups = original.reshape(-1, 32)
    step = groups.abs().amax(1, keepdim=True) / 7
    found = loaded.model.get_parameter(f"{LAYER}.weight").reshape(-1, 32)
    assert ((found - groups).abs() <= step * 1.01).all(), "each weight lies within one step of the original"
    assert 0.02 < error_of(loaded, tiny_llama) < 1


@pytest.mark.parametrize(
    ("scheme", "format"), [("INT8_W8A8", "llm_compressor"), ("NVFP4", "llm_compressor"), ("MXFP4", "auto_round")]
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_and_activations_are_rounded_in_every_dtype(
    scheme: str, format: str, dtype: str, tiny_llama: Path, quantized: Callable[..., Path], settings: Settings
) -> None:
    loaded = opened(quantized(tiny_llama, scheme, format), tiny_llama, settings, dtype)
    assert loaded.faithful is Faithful.ACTIVATIONS
    assert 0.002 < error_of(loaded, tiny_llama) < 1


BY_BITSANDBYTES: dict[str, tuple[dict[str, Any], float, Faithful]] = {
    "int8": ({"load_in_8bit": True}, 8, Faithful.KERNEL),
    "nf4": ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, 4, Faithful.WEIGHTS),
    "fp4": ({"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"}, 4, Faithful.WEIGHTS),
    "nf4 with quantized scales": (
        {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}, 4, Faithful.WEIGHTS,
    ),
}  # fmt: skip
BY_TORCHAO = {
    "Int8WeightOnlyConfig": (8, Faithful.WEIGHTS),
    "Float8WeightOnlyConfig": (8, Faithful.WEIGHTS),
    "Int8DynamicActivationInt8WeightConfig": (8, Faithful.KERNEL),
    "Int8DynamicActivationIntxWeightConfig": (8, Faithful.ACTIVATIONS),  # 4-bit weights, a byte each in the file
}


@pytest.mark.parametrize("kind", BY_BITSANDBYTES)
def test_bitsandbytes_weights_are_those_of_its_layers(
    kind: str, tiny_llama: Path, tmp_path: Path, settings: Settings
) -> None:
    pytest.importorskip("bitsandbytes")
    from transformers import BitsAndBytesConfig

    config, bits, faithful = BY_BITSANDBYTES[kind]
    folder = save_quantized(tiny_llama, BitsAndBytesConfig(**config), tmp_path / "saved", "float32")
    found = fetch_checkpoint(str(folder), describe(str(tiny_llama), settings), settings, print)
    assert found.description == f"bitsandbytes ({kind.partition(' ')[0]})"
    assert_as_the_library_computes(folder, tiny_llama, settings, bits, faithful)


@pytest.mark.parametrize("kind", BY_TORCHAO)
def test_torchao_weights_are_those_of_its_layers(
    kind: str, tiny_llama: Path, tmp_path: Path, settings: Settings
) -> None:
    quantization = pytest.importorskip("torchao.quantization")
    from transformers import TorchAoConfig

    intx = {"weight_dtype": torch.int4, "weight_granularity": quantization.PerGroup(32)}
    config = getattr(quantization, kind)(**(intx if "Intx" in kind else {}))
    folder = save_quantized(tiny_llama, TorchAoConfig(config), tmp_path / "saved")
    found = fetch_checkpoint(str(folder), describe(str(tiny_llama), settings), settings, print)
    assert found.description == f"torchao ({kind})"
    assert_as_the_library_computes(folder, tiny_llama, settings, *BY_TORCHAO[kind])


def test_weights_that_only_a_kernel_of_torchao_reads_are_left_to_it() -> None:
    quantization = pytest.importorskip("torchao.quantization")
    packed, scales = torch.zeros(8, 1, 32, 4, dtype=torch.int32), torch.zeros(32, 64, 2, dtype=torch.bfloat16)
    layer = torch.nn.Linear(1024, 64, dtype=torch.bfloat16)
    weight = quantization.Int4TilePackedTo4dTensor(packed, scales, [1, 32], torch.Size([64, 1024]))
    layer.weight = torch.nn.Parameter(weight, requires_grad=False)
    layer.dtype = torch.bfloat16
    assert _unpack_torchao(layer) is Faithful.KERNEL
    assert type(layer.weight) is quantization.Int4TilePackedTo4dTensor


def assert_as_the_library_computes(
    folder: Path, model: Path, settings: Settings, bits: float, faithful: Faithful
) -> None:
    """Logits as transformers and the library give them, in the dtype in which they were saved, and in another."""
    found = fetch_checkpoint(str(folder), describe(str(model), settings), settings, print)
    assert found.bits
    assert found.bits.achieved == bits
    assert bits < found.bits.achieved_with_scales < bits + 2  # tables of 256 numbers count in layers this small
    theirs: Any = AutoModelForCausalLM.from_pretrained(folder, device_map="cpu").eval()
    for dtype in ("float32", "bfloat16"):
        loaded = opened(folder, model, settings, dtype)
        assert loaded.faithful is faithful
        assert loaded.model.dtype == getattr(torch, dtype)
        tokens = loaded.tokenizer("The capital of France is Paris, and it is famous.", return_tensors="pt")
        with torch.inference_mode():
            ours, expected = loaded.model(**tokens).logits.float(), theirs(**tokens).logits.float()
        error = float((ours - expected).abs().mean() / expected.std())
        assert error < (0.03 if loaded.model.dtype == theirs.dtype else 0.1), dtype
        assert 0.02 < error_of(loaded, model) < 1
        if faithful is Faithful.WEIGHTS:
            assert type(loaded.model.get_submodule(LAYER)) is torch.nn.Linear
            assert type(loaded.model.get_submodule(LAYER).weight.data) is torch.Tensor


def test_another_vocabulary_is_told(tiny_llama: Path, tmp_path: Path, settings: Settings) -> None:
    import shutil

    other = shutil.copytree(tiny_llama, tmp_path / "other")
    make_tokenizer(other, ("zzz yyy xxx",))
    loaded = opened(other, tiny_llama, settings)
    assert "another vocabulary" in str(loaded.other_tokenizer)
    assert loaded.tokenizer.get_vocab() != AutoTokenizer.from_pretrained(tiny_llama).get_vocab()
    assert loaded.faithful is None


def test_a_gguf_file_of_another_vocabulary_is_refused(tiny_llama: Path, tmp_path: Path, settings: Settings) -> None:
    file = write_gguf(tmp_path / "x.gguf", tiny_llama, "Q8_0")
    content = file.read_bytes()
    file.write_bytes(content.replace(b"<|im_start|>", b"<|im_strat|>", 1))
    with pytest.raises(ModelUnavailable, match="vocabulary is not that of the study's model"):
        opened(file, tiny_llama, settings)


def test_missing_weights_are_not_made_up(tiny_llama: Path, tmp_path: Path, settings: Settings) -> None:
    file = write_gguf(tmp_path / "x.gguf", tiny_llama, "F16")
    file.write_bytes(file.read_bytes().replace(b"blk.2.ffn_up.weight", b"blk.2.ffn_xx.weight", 1))
    with pytest.raises(ModelUnavailable, match="lack the weights of"):
        opened(file, tiny_llama, settings)


@pytest.mark.demo
def test_the_demo_as_q4_k_m_and_nvfp4_is_as_far_off_as_it_was_measured_to_be(
    demo_settings: Settings, quantized: Callable[..., Path]
) -> None:
    """KL divergence over 6 × 192 held-out tokens; plain transformers gave 0.053 and 0.427."""
    from qcompare.evaluate.divergence import divergence, read_passages, reference_states
    from qcompare.quantize.simulate import give_original_head

    bundle = bundle_at(demo_settings)
    original: Any = AutoModelForCausalLM.from_pretrained(bundle.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(bundle.model)
    text = read_passages(bundle.held_out, tokenizer, 6, 192, "a test")
    states = reference_states(original, text)
    for scheme, format, kl in (("gguf:q4_k_m", "gguf:q4_k_m", 0.053), ("NVFP4", "llm_compressor", 0.427)):
        loaded = opened(quantized(bundle.model, scheme, format), bundle.model, demo_settings)
        give_original_head(loaded.model, original.get_output_embeddings())
        assert divergence(loaded.model, states, text).kl == pytest.approx(kl, rel=0.05)
