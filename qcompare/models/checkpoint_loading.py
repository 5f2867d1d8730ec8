"""From a checkpoint to a model in memory, one way for each kind of file. Loads torch: call it in the worker."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qcompare.errors import ModelUnavailable
from qcompare.models.checkpoint import Checkpoint
from qcompare.models.checkpoint_checks import quant_type
from qcompare.models.config import quantization
from qcompare.models.facts import LocalModel
from qcompare.models.gguf import read_tensors
from qcompare.models.loading import device_map, load, load_tokenizer, loading, model_of
from qcompare.models.packed_ints import unpack_all
from qcompare.settings import Settings
from qcompare.study.result import Faithful
from qcompare.words import Message

Report = Callable[[int, int], None]
PROBES = (
    "The capital of France is Paris, and it is famous for the Eiffel Tower.\n\n  def f(x): return x ** 2  # 1234567",
    "Ça coûte 12,50 €. 北京是中国的首都。 Привет! 🦆",
)
"""Texts that two tokenizers of one vocabulary must split alike."""


@dataclass(frozen=True)
class Loaded:
    """A checkpoint as a model."""

    model: Any
    tokenizer: Any
    """The original's, where the checkpoint's splits text alike or has none that can be read."""
    faithful: Faithful | None
    """None where nothing is quantized."""
    other_tokenizer: Message | None
    """What makes its tokenizer another than the original's."""


def load_checkpoint(
    found: Checkpoint,
    base: LocalModel,
    tokenizer: Any,
    device: str,
    dtype: str,
    settings: Settings,
    hub_kernels: bool,
    report: Report,
) -> Loaded:
    """Load a fetched checkpoint for evaluation.

    Args:
        base: the study's model.
        tokenizer: the study's.
        device: as torch names it.
        dtype: `float32`, `bfloat16` or `float16`: computation, and weights that are no longer packed.
        hub_kernels: let transformers replace layers by kernels from the hub.
        report: told (tensors done, tensors in all), where weights are unpacked here.

    Raises:
        ModelUnavailable: damaged, incomplete or not supported, or a GGUF file of another vocabulary.
    """
    assert found.path
    local = LocalModel(found.path, found.source.title, "folder", found.revision)
    if found.gguf:
        model = _load_gguf(found, base, tokenizer, device, dtype, report)
        return Loaded(model, tokenizer, Faithful.WEIGHTS, None)
    its = load_tokenizer(local, settings)
    other = other_tokenizer(its, tokenizer)
    if any(name.endswith(".qweight") for name in found.stored.shapes):
        model = _load_packed(local, found, device, dtype)
        return Loaded(model, its if other else tokenizer, Faithful.WEIGHTS, other)
    model, faithful = _load_library(local, found, device, dtype, settings, hub_kernels)
    return Loaded(model, its if other else tokenizer, faithful, other)


def other_tokenizer(ours: Any, theirs: Any) -> Message | None:
    """What makes a tokenizer another than a study's; None where both split text alike."""
    mine, its = ours.get_vocab(), theirs.get_vocab()
    if mine != its:
        n = len(mine.items() ^ its.items())
        return Message("another vocabulary ({n} tokens differ)", {"n": n})
    if any(ours(text)["input_ids"] != theirs(text)["input_ids"] for text in PROBES):
        return Message("another tokenizer, which splits the same text into other tokens")
    return None


def _load_gguf(found: Checkpoint, base: LocalModel, tokenizer: Any, device: str, dtype: str, report: Report) -> Any:
    from transformers import AutoConfig

    assert found.gguf
    _check_vocabulary(found, tokenizer)
    with loading(found.source.title):
        config = AutoConfig.from_pretrained(base.path, local_files_only=True)
        tensors = {tensor.name: tensor for tensor in found.gguf.tensors}
        config.tie_word_embeddings = "output.weight" not in tensors
        if "token_embd.weight" in tensors:
            config.vocab_size = tensors["token_embd.weight"].shape[0]
        return model_of(config, read_tensors(found.gguf, config, dtype, report), device, dtype, found.source.title)


def _check_vocabulary(found: Checkpoint, tokenizer: Any) -> None:
    assert found.gguf
    ours = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    differ = sum(theirs != mine for theirs, mine in zip(found.gguf.tokens, ours, strict=False))
    if differ or len(found.gguf.tokens) < len(ours):
        raise ModelUnavailable(
            "{name}: its vocabulary is not that of the study's model ({n} tokens differ), and a GGUF file's own "
            "tokenizer cannot be relied on here; name a file made from the study's model",
            name=found.source.title,
            n=differ or len(ours) - len(found.gguf.tokens),
        )


def _load_packed(local: LocalModel, found: Checkpoint, device: str, dtype: str) -> Any:
    """GPTQ, AWQ and auto-round's integers, as ordinary layers."""
    from safetensors.torch import load_file
    from transformers import AutoConfig

    with loading(local.name):
        config = AutoConfig.from_pretrained(local.path, local_files_only=True)
        del config.quantization_config
        tensors: dict[str, Any] = {}
        for file in sorted(local.path.glob("*.safetensors")):
            tensors |= load_file(file)
        return model_of(config, unpack_all(tensors, quantization(found.config)), device, dtype, local.name)


def _load_library(
    local: LocalModel, found: Checkpoint, device: str, dtype: str, settings: Settings, hub_kernels: bool
) -> tuple[Any, Faithful | None]:
    """By transformers, with the library that the checkpoint names."""
    how = quantization(found.config)
    options: dict[str, Any] = {"device_map": device_map(device) or device} if how else {}
    model = load(local, device, dtype, settings, hub_kernels, **options)[0]
    if found.method == "compressed-tensors":
        _decompress(model)
    faithful = _faithful(how)
    with loading(local.name):
        if found.method == "bitsandbytes":
            faithful = _unpack_bitsandbytes(model, how)
        if found.method == "torchao":
            faithful = _unpack_torchao(model)
    if faithful is Faithful.KERNEL:
        _try(model, local.name)
    return model, faithful


def _faithful(how: Any) -> Faithful | None:
    """What of a quantization a loaded model computes with."""
    if not how:
        return None
    groups = how.get("config_groups") or {}
    rounds_inputs = any(group.get("input_activations") for group in groups.values()) or how.get("act_bits", 16) < 16
    if how["quant_method"] in ("compressed-tensors", "auto-round"):
        return Faithful.ACTIVATIONS if rounds_inputs else Faithful.WEIGHTS
    return Faithful.KERNEL


def _unpack_bitsandbytes(model: Any, how: Any) -> Faithful:
    """Plain weights in place of 4-bit ones. LLM.int8 rounds inputs too, and keeps its kernel."""
    if quant_type(how) == "int8":
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it tells at every call that it casts inputs
        return Faithful.KERNEL
    model.dequantize(model.dtype)
    return Faithful.WEIGHTS


def _unpack_torchao(model: Any) -> Faithful:
    """Plain weights where inputs are left alone; the others stay torchao's, in the model's dtype."""
    import torch

    packed = [module for module in model.modules() if hasattr(getattr(module, "weight", None), "tensor_data_names")]
    kept = [module.weight for module in packed if _changes_inputs(module.weight)]
    with torch.no_grad():
        for module in packed:
            weight = module.weight if _changes_inputs(module.weight) else module.weight.dequantize()
            module.weight = torch.nn.Parameter(weight.to(model.dtype), requires_grad=False)
    if not kept:
        return Faithful.WEIGHTS
    simulated = all(getattr(weight, "activation_quantization", None) for weight in kept)
    return Faithful.ACTIVATIONS if simulated else Faithful.KERNEL


def _changes_inputs(weight: Any) -> bool:
    """A torchao weight that rounds or scales inputs, or that only a kernel can read."""
    import torch

    attributes = ("act_quant_kwargs", "activation_quantization", "act_pre_scale")
    kernel_only = type(weight).dequantize is torch.Tensor.dequantize
    return kernel_only or any(getattr(weight, name, None) is not None for name in attributes)


def _try(model: Any, name: str) -> None:
    """Compute one token: a library that lacks what its kernel needs says so now, in one line."""
    import torch

    with loading(name), torch.inference_mode():
        model(torch.tensor([[0]], device=model.device))


def _decompress(model: Any) -> None:
    """Plain weights in place of compressed-tensors' ones, in the dtype that the model computes in.

    Left alone, they are decompressed at the first call; NVFP4 weights to bfloat16, with which a float32 model fails.
    """
    import torch

    model.hf_quantizer.compressor.decompress_model(model)
    for module in model.modules():
        if getattr(module, "quantization_scheme", None) is not None and isinstance(module, torch.nn.Linear):
            module.weight.data = module.weight.data.to(model.dtype)
