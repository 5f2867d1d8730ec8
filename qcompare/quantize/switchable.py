"""A simulated model whose layers change schemes again and again, as a search over layer configs needs it."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from qcompare.errors import JobError
from qcompare.quantize.simulate import (
    SharedInput,
    activation_rounding,
    keep_original_head,
    shared_settings,
    weight_rounding,
)
from qcompare.study.formats import UNQUANTIZED

if TYPE_CHECKING:
    import torch

KEPT_BYTES = 6 << 30
"""Rounded weights that are kept, on a GPU in half of the free memory at most; those beyond it are rounded at every
use."""


class SwitchableModel:
    """Weights and inputs of the named layers are rounded as `simulate` does, in schemes that can be changed.

    The original's weights are kept. Gradients pass through the rounding of inputs as if there were none.
    """

    def __init__(
        self,
        model: Any,
        names: Iterable[str],
        schemes: Sequence[str],
        input_maxima: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """
        Args:
            model: a loaded transformers model, from now on in the hands of this object; unquantized at first.
            names: full names of its linear layers, and of its embedding.
            schemes: that they may get.
            input_maxima: as for `simulate`.
        """
        import torch

        self.model = model.requires_grad_(False)
        modules = dict(model.named_modules())
        self.layers = {name: modules[name] for name in names}
        self.schemes = tuple(schemes)
        self.config: dict[str, str] = dict.fromkeys(self.layers, UNQUANTIZED)
        keep_original_head(model, list(self.layers.values()))
        self._original = {name: layer.weight.data for name, layer in self.layers.items()}
        if offloaded := next((name for name, weight in self._original.items() if weight.is_meta), None):
            raise JobError(
                "layers cannot be scored: {layer} and others do not fit the memory of the job's GPUs; give it more "
                "(gpus_per_job), or choose a recipe that does not score layers",
                layer=offloaded,
            )
        self._maxima = input_maxima
        self._settings = {
            scheme: shared_settings(modules, dict.fromkeys(self.layers, scheme)) for scheme in self.rounded_schemes
        }
        self._kept: dict[tuple[str, str], torch.Tensor] = {}
        self._kept_bytes = 0
        device = next(iter(self.layers.values())).weight.device
        self._most_kept = (
            min(KEPT_BYTES, torch.cuda.mem_get_info(device)[0] // 2) if device.type == "cuda" else KEPT_BYTES
        )
        self._shared = SharedInput()
        for name, layer in self.layers.items():
            layer.register_forward_pre_hook(lambda module, inputs, name=name: self._rounded_input(name, inputs[0]))

    @property
    def rounded_schemes(self) -> tuple[str, ...]:
        """The schemes without BF16."""
        return tuple(scheme for scheme in self.schemes if scheme != UNQUANTIZED)

    def switch(self, config: Mapping[str, str]) -> None:
        """Give every layer its scheme; those that are not named are unquantized."""
        for name, layer in self.layers.items():
            scheme = config.get(name, UNQUANTIZED)
            if scheme != self.config[name]:
                layer.weight.data = self.weight(name, scheme)
                self.config[name] = scheme

    def original(self, name: str) -> "torch.Tensor":
        """A layer's own weights; not to be changed."""
        return self._original[name]

    def weight(self, name: str, scheme: str) -> "torch.Tensor":
        """A layer's weights at a scheme, shape (out_features, in_features); not to be changed."""
        import torch

        original = self.original(name)
        if scheme == UNQUANTIZED:
            return original
        if (name, scheme) in self._kept:
            return self._kept[name, scheme]
        with torch.no_grad():
            rounded = weight_rounding(scheme)(original, **self._settings[scheme].get(name, {}))
        if self._kept_bytes + rounded.nbytes <= self._most_kept:
            self._kept[name, scheme] = rounded
            self._kept_bytes += rounded.nbytes
        return rounded

    def input(self, x: "torch.Tensor", name: str, scheme: str) -> "torch.Tensor":
        """A layer's input, shape (..., in_features), as the scheme rounds it; `x` itself where it does not."""
        rounding = activation_rounding(scheme, self._maxima.get(name))
        return x if rounding is None else self._shared.rounded(x, rounding)

    def _rounded_input(self, name: str, x: "torch.Tensor") -> "tuple[torch.Tensor]":
        import torch

        with torch.no_grad():
            rounded = self.input(x, name, self.config[name])
        return (x + (rounded - x).detach() if torch.is_grad_enabled() and x.requires_grad else rounded,)
