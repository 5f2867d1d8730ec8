"""Simulated quantization in memory, with the values of auto-round's own rounding functions.

Weights are rounded once, in place. Activations are rounded at every call, in front of each quantized linear layer,
as `auto_round.wrapper.WrapperWALayer` does; linear layers that read the same tensor (q/k/v, gate/up) share one
rounding. The accuracy is that of the format; speed and memory are not.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from qcompare.errors import JobError
from qcompare.study.formats import SCHEMES, Rounding, format_of, quantized

if TYPE_CHECKING:
    import torch

ORIGINAL_HEAD = "_qcompare_original_head"


def simulate(
    model: Any,
    layer_config: Mapping[str, str],
    report: Callable[[int, int], None] = lambda done, total: None,
    activations: bool = True,
    input_maxima: Mapping[str, float] = MappingProxyType({}),
) -> None:
    """Make a model behave as if the named layers were stored in their schemes.

    Args:
        model: a loaded transformers model; changed in place.
        layer_config: full layer name → scheme name.
        report: called with (layers done, layers in all).
        activations: False leaves them as they are and rounds weights only.
        input_maxima: full layer name → largest absolute input, from `input_maxima.input_maxima`, for formats that
            calibrate them.

    Raises:
        JobError: a named layer does not exist in the model, or is neither linear nor an embedding.
    """
    import torch

    layer_config = quantized(layer_config)
    modules = dict(model.named_modules())
    shared = SharedInput()
    settings = shared_settings(modules, layer_config)
    keep_original_head(model, [modules[name] for name in layer_config if name in modules])
    with torch.inference_mode():
        for done, (name, scheme) in enumerate(layer_config.items(), start=1):
            layer = modules.get(name)
            if not isinstance(layer, torch.nn.Linear | torch.nn.Embedding):
                raise JobError(
                    "layer {name} is not a linear layer of this model: the recipe is for another model", name=name
                )
            weight = stored_weight(layer)
            rounded = weight_rounding(scheme)(weight.to(device_of(layer)), **settings.get(name, {}))
            weight.copy_(rounded)
            if activations and (rounding := activation_rounding(scheme, input_maxima.get(name))):
                round_inputs(layer, shared, rounding)
            report(done, len(layer_config))


def shared_settings(modules: Mapping[str, Any], layer_config: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    """`Format.shared_settings` of all layers."""
    found: dict[str, Mapping[str, Any]] = {}
    for format in {format for scheme in layer_config.values() if (format := format_of(scheme))}:
        layers = {n: modules[n] for n, scheme in layer_config.items() if n in modules and format_of(scheme) is format}
        found |= format.shared_settings(layers)
    return found


def stored_weight(layer: Any) -> "torch.Tensor":
    """The tensor that holds a layer's weights; where accelerate keeps them in RAM until they are used, that one."""
    weight: torch.Tensor = layer.weight.data
    return layer._hf_hook.weights_map["weight"] if weight.is_meta and hasattr(layer, "_hf_hook") else weight


def device_of(layer: Any) -> Any:
    """Where a layer computes."""
    return layer._hf_hook.execution_device if layer.weight.is_meta else layer.weight.device


def keep_original_head(model: Any, rounded: Collection[Any]) -> None:
    """Before layers are rounded: remember the output head as it is, where it is one of them, or tied to an embedding
    that is. A tied head that is rounded itself is parted from its embedding.

    Args:
        rounded: the modules that will be.
    """
    import torch

    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    tied = head is not None and head.weight is embedding.weight
    if not any(module is head or (tied and module is embedding) for module in rounded):
        return
    original = torch.nn.Linear(*head.weight.shape[::-1], bias=False, device="meta")
    original.weight, original.bias = head.weight, head.bias
    copy = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
    if any(module is head for module in rounded):
        head.weight = copy
        model.config.get_text_config().tie_word_embeddings = False  # else it would be tied again when loaded
    else:
        original.weight = copy
    give_original_head(model, original)


def give_original_head(model: Any, head: Any) -> None:
    """Let a model that was made of another one remember the output head of the original."""
    model.__dict__[ORIGINAL_HEAD] = head  # a module of the model would be rounded and saved with it


def take_original_head(model: Any) -> Any:
    """The head that a model remembers; None where it is not rounded."""
    return model.__dict__.get(ORIGINAL_HEAD)


@contextmanager
def original_head(model: Any) -> Iterator[None]:
    """Let a model compute logits with the output head that it had before it was rounded."""
    if (original := take_original_head(model)) is None:
        yield
        return
    rounded = model.get_output_embeddings()
    model.set_output_embeddings(original)
    try:
        yield
    finally:
        model.set_output_embeddings(rounded)


class SharedInput(threading.local):
    """The roundings of the tensor that was rounded last, so that layers that share an input round it once.

    Each thread has its own: a scorer may run the model in several at once.
    """

    def __init__(self) -> None:
        self._source: torch.Tensor | None = None
        self._version = 0
        self._rounded: dict[Rounding, torch.Tensor] = {}

    def rounded(self, x: "torch.Tensor", rounding: Rounding) -> "torch.Tensor":
        """`x` of shape (..., features) as it is rounded in rows; same shape and dtype."""
        version = 0 if x.is_inference() else x._version
        if x is not self._source or version != self._version:
            self._source, self._version, self._rounded = x, version, {}
        if rounding not in self._rounded:
            self._rounded[rounding] = rounding(x.reshape(-1, x.shape[-1])).reshape(x.shape)
        return self._rounded[rounding]


def round_inputs(layer: Any, shared: SharedInput, rounding: Rounding) -> None:
    """Let a linear layer round its inputs at every call; the layers that share them are given the same function."""
    layer.register_forward_pre_hook(lambda module, inputs: (shared.rounded(inputs[0], rounding),))


@cache
def weight_rounding(scheme: str) -> Rounding:
    """Plain round-to-nearest of weights, shape (out_features, in_features), in groups along the inputs.

    Raises:
        JobError: the scheme is not simulated.
    """
    format = format_of(scheme)
    if format is None:
        raise JobError("{scheme} is not simulated in memory", scheme=scheme)
    return format.weight_rounding(SCHEMES[scheme])


@cache
def activation_rounding(scheme: str, maximum: float | None = None) -> Rounding | None:
    """Rounding of activations, shape (rows, features), in groups along the features; None leaves them as they are."""
    format = format_of(scheme)
    return format.activation_rounding(SCHEMES[scheme], maximum) if format else None
