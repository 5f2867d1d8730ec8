"""Models that a library loaded from a quantized checkpoint: the same values in far less time.

Libraries unpack or round weights at every call, and round an input anew for each layer that reads it. Here weights
are ordinary ones, and inputs are rounded as `simulate` does it, once, by roundings of our own that give the same
values, where a format has one.
"""

from typing import TYPE_CHECKING, Any

from qcompare.formats.mxfp import input_rounding
from qcompare.formats.nvfp import scaled_rounding
from qcompare.formats.w8a8 import scheme_of_inputs
from qcompare.quantize.simulate import SharedInput, activation_rounding, round_inputs
from qcompare.study.formats import Rounding

if TYPE_CHECKING:
    import torch


def speed_up_reloaded(model: Any) -> None:
    """Let a model that compressed-tensors or auto-round loaded compute the same in far less time; others stay.

    Args:
        model: a loaded transformers model; changed in place. Weights that are still packed become ordinary ones.
    """
    import torch

    shared, modules = SharedInput(), dict(model.named_modules())
    compressed = [
        module
        for module in modules.values()
        if getattr(module, "quantization_scheme", None) and isinstance(module, torch.nn.Linear)
    ]
    if compressed:
        with torch.inference_mode():
            model(torch.tensor([[0]], device=model.device))  # decompresses what is not yet
    for module in compressed:
        _speed_up_compressed(module, shared)
    for name, module in modules.items():
        if _unpacks(module):
            model.set_submodule(name, _unpacked(module, shared, model.dtype))


def _speed_up_compressed(module: Any, shared: SharedInput) -> None:
    """A decompressed layer of compressed-tensors: its weights are rounded already, and are not rounded again."""
    import torch
    from compressed_tensors.quantization import QuantizationStatus

    module.quantization_status = QuantizationStatus.COMPRESSED
    scheme = module.quantization_scheme
    inputs = scheme.input_activations
    rounding = inputs and _rounding_of_compressed(module, inputs)
    if (rounding or not inputs) and not scheme.output_activations:
        module.forward = torch.nn.Linear.forward.__get__(module)
        if rounding:
            round_inputs(module, shared, rounding)


def _rounding_of_compressed(module: Any, inputs: Any) -> Rounding | None:
    ours = scheme_of_inputs(inputs)
    if ours == "NVFP4":
        return scaled_rounding(module.input_global_scale, by_compressed_tensors=True)
    return activation_rounding(ours, None) if ours else None


def _unpacks(module: Any) -> bool:
    """A layer of auto-round's that unpacks its weights at every call (`auto_round/experimental/qmodules`), without
    a transform of its inputs."""
    return hasattr(module, "dequant_weight_online") and not (
        getattr(module, "enable_transform", False) or module._forward_pre_hooks or module._forward_hooks
    )


def _unpacked(module: Any, shared: SharedInput, dtype: "torch.dtype") -> Any:
    import torch

    layer = torch.nn.Linear(module.in_features, module.out_features, bias=False, device="meta")
    with torch.inference_mode(False), torch.no_grad():
        layer.weight = torch.nn.Parameter(module.dequant_weight_online().to(dtype), requires_grad=False)
    layer.bias = module.bias
    round_inputs(layer, shared, _rounding_of_auto_round(module))
    return layer


def _rounding_of_auto_round(module: Any) -> Rounding:
    if hasattr(module, "input_global_scale"):
        return scaled_rounding(module.input_global_scale, by_compressed_tensors=False)
    config = getattr(module, "config", None)
    ours = config and input_rounding(config.act_data_type, config.act_bits, config.act_group_size)
    return ours or (lambda x: module.qdq_input(x).to(x.dtype))
