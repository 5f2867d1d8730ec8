"""From a model folder to a model in memory. Loads torch: call it in the worker."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from qcompare.errors import ModelUnavailable
from qcompare.models.config import read_config
from qcompare.models.facts import LocalModel
from qcompare.models.layers import EXPERT_FAMILIES, VISION_FAMILIES
from qcompare.settings import Settings
from qcompare.words import Message


def load(
    local: LocalModel, device: str, dtype: str, settings: Settings, hub_kernels: bool, **options: Any
) -> tuple[Any, Any]:
    """Load a model for evaluation, and its tokenizer.

    Args:
        local: where it is.
        device: as torch names it; `cuda` spreads the model over all visible GPUs, and where these do not suffice
            over RAM.
        dtype: `float32`, `bfloat16` or `float16`: weights and computation.
        settings: whether unsafe weights and remote code are allowed.
        hub_kernels: let transformers replace layers by kernels from the hub.
        options: others of transformers' `from_pretrained`.

    Returns:
        The model in eval mode on the device, and the tokenizer, which has a pad token.

    Raises:
        ModelUnavailable: the files are damaged, incomplete or not supported.
    """
    if not hub_kernels:
        # Holds where transformers is not imported yet; `use_kernels=False` below holds always.
        os.environ.setdefault("USE_HUB_KERNELS", "NO")
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    if placement := device_map(device):
        options.setdefault("device_map", placement)
    sees = read_config(local.path / "config.json").get("model_type") in VISION_FAMILIES
    with loading(local.name):
        model, info = (AutoModelForImageTextToText if sees else AutoModelForCausalLM).from_pretrained(
            local.path,
            dtype=getattr(torch, dtype),
            use_safetensors=None if settings.allow_unsafe_weights else True,
            use_kernels=hub_kernels,
            output_loading_info=True,
            local_files_only=True,
            trust_remote_code=settings.trust_remote_code,
            **options,
        )
    _check_complete(local.name, info)
    _make_linear(model)
    _take_experts_apart(model)
    return (model if "device_map" in options else model.to(device)).eval(), load_tokenizer(local, settings)


def device_map(device: str) -> str | dict[str, str] | None:
    """Where transformers puts weights as it reads them, so that they are never all in RAM; None on the CPU."""
    if device == "cpu":
        return None
    return "auto" if device == "cuda" else {"": device}


@contextmanager
def turn_to_load(home: Path, num_bytes: int) -> Iterator[None]:
    """Where a model's files take more than half of the RAM that is free, one process of a home loads at a time."""
    if psutil.virtual_memory().available > 2 * num_bytes:
        yield
        return
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "loading.lock"):
        yield


def load_tokenizer(local: LocalModel, settings: Settings) -> Any:
    """The tokenizer of a model folder; it has a pad token.

    Raises:
        ModelUnavailable: its files are damaged or not supported.
    """
    from transformers import AutoTokenizer

    with loading(local.name):
        tokenizer = AutoTokenizer.from_pretrained(
            local.path, local_files_only=True, trust_remote_code=settings.trust_remote_code
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer


def model_of(config: Any, tensors: dict[str, Any], device: str, dtype: str, name: str) -> Any:
    """A causal language model of a config, with these weights, in eval mode on the device.

    Raises:
        ModelUnavailable: weights lack, or have other sizes.
    """
    import torch
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    model, info = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)].from_pretrained(
        None, config=config, state_dict=tensors, dtype=getattr(torch, dtype), output_loading_info=True
    )
    _check_complete(name, info)
    _make_linear(model)
    _take_experts_apart(model)
    return placed(model, device).eval()


def placed(model: Any, device: str) -> Any:
    """A model that is whole in RAM, on the device; on `cuda` spread over all visible GPUs and RAM, as `load` does."""
    if device != "cuda":
        return model.to(device)
    return spread(model)


def spread(model: Any) -> Any:
    """A model that is whole in RAM, over all visible GPUs as evenly as its blocks allow, and the rest in RAM."""
    from accelerate import dispatch_model, infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    unsplit = model._no_split_modules
    room = get_balanced_memory(model, dtype=model.dtype, no_split_module_classes=unsplit)
    found = infer_auto_device_map(model, room, dtype=model.dtype, no_split_module_classes=unsplit)
    return dispatch_model(model, found, skip_keys=model._skip_keys_device_placement)


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Turn what transformers raises while it loads a model into one line."""
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, NotImplementedError, SafetensorError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelUnavailable(
            "{model}: transformers cannot load it: {reason}", model=name, reason=first[:300]
        ) from error


def _check_complete(name: str, info: dict[str, Any]) -> None:
    """transformers only warns when weights are missing, and fills them with random numbers."""
    if missing := sorted(info["missing_keys"]):
        rest = len(missing) - 1
        raise ModelUnavailable(
            "{model}: its files lack the weights of {layer}{more}; fetch the model again",
            model=name,
            layer=missing[0],
            more=Message(" and {n} more", {"n": rest}) if rest else "",
        )


def _take_experts_apart(model: Any) -> None:
    """Replace fused experts (three-dimensional weights) by linear layers; outputs stay the same to the last bit."""
    if getattr(model.config, "model_type", "") not in EXPERT_FAMILIES:
        return
    from auto_round.modeling.fused_moe.moe_experts_interface import prepare_model_for_moe_quantization

    prepare_model_for_moe_quantization(model)


def _make_linear(model: Any) -> None:
    """Replace transformers' Conv1D (GPT-2) by the linear layer it is: recipes know one kind of layer."""
    import torch
    from transformers.pytorch_utils import Conv1D

    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv1D):
                linear = torch.nn.Linear(*child.weight.shape, device="meta")
                linear.weight = torch.nn.Parameter(child.weight.detach().T.contiguous(), requires_grad=False)
                linear.bias = child.bias
                setattr(parent, name, linear)
