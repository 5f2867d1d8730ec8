"""Simulated quantization in memory, with the values of auto-round's own rounding functions.

Weights are rounded once, in place. Activations are rounded at every call, in front of each quantized linear layer,
as `auto_round.wrapper.WrapperWALayer` does; linear layers that read the same tensor (q/k/v, gate/up) share one
rounding. The accuracy is that of the format; speed and memory are not.
"""

import threading
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from qcompare.errors import JobError
from qcompare.formats.library import library_scheme, quantized
from qcompare.formats.mxfp import Microscaling, Rounding

if TYPE_CHECKING:
    import torch


def simulate(
    model: Any,
    layer_config: Mapping[str, str],
    report: Callable[[int, int], None] = lambda done, total: None,
    activations: bool = True,
) -> None:
    """Make a model behave as if the named layers were stored in their schemes.

    Args:
        model: a loaded transformers model; changed in place.
        layer_config: full layer name → scheme name.
        report: told (layers done, layers in all).
        activations: False leaves them as they are and rounds weights only.

    Raises:
        JobError: a named layer does not exist in the model or is not linear.
    """
    import torch

    layer_config = quantized(layer_config)
    modules = dict(model.named_modules())
    shared = SharedInput()
    with torch.inference_mode():
        for done, (name, scheme) in enumerate(layer_config.items(), start=1):
            layer = modules.get(name)
            if not isinstance(layer, torch.nn.Linear):
                raise JobError(f"layer {name} is not a linear layer of this model: the recipe is for another model")
            layer.weight.data.copy_(weight_rounding(scheme)(layer.weight.data))
            if activations and rounds_activations(scheme):
                layer.register_forward_pre_hook(_InputRounding(shared, scheme))
            report(done, len(layer_config))


class SharedInput(threading.local):
    """The roundings of the tensor that was rounded last, so that layers that share an input round it once.

    Each thread has its own: a scorer may run the model in several at once.
    """

    def __init__(self) -> None:
        self._source: torch.Tensor | None = None
        self._version = 0
        self._rounded: dict[str, torch.Tensor] = {}

    def rounded(self, x: "torch.Tensor", scheme: str) -> "torch.Tensor":
        """`x` as the scheme's activations: shape (..., features), same dtype."""
        version = 0 if x.is_inference() else x._version
        if x is not self._source or version != self._version:
            self._source, self._version, self._rounded = x, version, {}
        if scheme not in self._rounded:
            rows = x.reshape(-1, x.shape[-1])
            self._rounded[scheme] = activation_rounding(scheme)(rows).reshape(x.shape)
        return self._rounded[scheme]


class _InputRounding:
    """Forward pre-hook of one quantized layer."""

    def __init__(self, shared: SharedInput, scheme: str) -> None:
        self.shared = shared
        self.scheme = scheme

    def __call__(self, module: Any, inputs: tuple["torch.Tensor", ...]) -> tuple["torch.Tensor", ...]:
        return (self.shared.rounded(inputs[0], self.scheme),)


def rounds_activations(scheme: str) -> bool:
    """Whether a scheme is more than a format of weights."""
    return int(library_scheme(scheme).act_bits or 16) < 16


@cache
def weight_rounding(scheme: str) -> Rounding:
    """Plain round-to-nearest of weights, shape (out_features, in_features), in groups along the inputs."""
    from auto_round.data_type.utils import get_quant_func

    preset = library_scheme(scheme)
    function, data_type = get_quant_func(
        preset.data_type, preset.bits, preset.sym, disable_opt_rtn=True, iters=0, group_size=preset.group_size
    )
    return _rounding(function, preset.bits, preset.group_size, data_type)


@cache
def activation_rounding(scheme: str) -> Rounding:
    """Rounding of activations, shape (rows, features), in groups along the features."""
    from auto_round.data_type.utils import get_quant_func

    preset = library_scheme(scheme)
    function, data_type = get_quant_func(preset.act_data_type, preset.act_bits, preset.act_sym, disable_opt_rtn=True)
    return _rounding(function, preset.act_bits, preset.act_group_size, data_type)


def _rounding(function: Callable[..., Any], bits: int, group_size: int, data_type: str) -> Rounding:
    """Our own rounding for microscaling floats, on CUDA as one fused kernel; auto-round's function for the rest."""
    if microscaling := Microscaling.of(function, data_type, bits, group_size):
        return compiled(microscaling.round) if can_compile() else microscaling.round
    return lambda x: function(x, bits=bits, group_size=group_size, data_type=data_type)[0]


def compiled(function: Rounding) -> Rounding:
    """The function through `torch.compile`, for any number of rows."""
    import torch

    torch._dynamo.config.cache_size_limit = max(torch._dynamo.config.cache_size_limit, 64)
    return torch.compile(function, dynamic=True)  # type: ignore[no-any-return]


@cache
def can_compile() -> bool:
    """Whether compiling pays and can be done: on CUDA with triton. On a CPU it costs more than it brings."""
    import torch

    return torch.cuda.is_available() and find_spec("triton") is not None


def lacks_compiler() -> bool:
    """Whether compiling would pay but cannot be done: the same numbers, more slowly."""
    import torch

    return torch.cuda.is_available() and not can_compile()
