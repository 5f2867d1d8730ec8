"""How a function of the logits changes, to first order, when a layer takes another scheme: ⟨∂f/∂Y, ΔY⟩.

Y is the layer's output, ΔY its change by rounded weights and rounded inputs together. One pass back through the model
gives it for every layer and scheme at once; weights need no gradients. That the error of the output is measured, not
that of the weights, keeps rounded activations in view, and its sign lets errors cancel.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qcompare.quantize.switchable import SwitchableModel
from qcompare.study.formats import UNQUANTIZED
from qcompare.study.layers import LayerLosses

if TYPE_CHECKING:
    import torch

Directions = Callable[[int, "torch.Tensor"], "Iterator[torch.Tensor]"]
"""Of a passage's number and its logits, shape (tokens, vocabulary): ∂f/∂logits of the same shape, for each f."""


def responses(
    model: SwitchableModel,
    passages: Sequence[Sequence[int]],
    directions: Directions,
    report: Callable[[int, int], None] = lambda done, total: None,
    in_full: int | None = None,
) -> "Iterator[torch.Tensor]":
    """For each passage and each f, at the model's layer config: ⟨∂f/∂Y, ΔY⟩ at every token of the layers' outputs.

    Args:
        in_full: passages for which all schemes are looked at, others only for the lowest; None: all of them.

    Yields:
        Shape (tokens, layers, schemes) in the order of `model.layers` and `model.schemes`, on the CPU; zeros at the
        scheme that a layer has, and where it was not looked at.
    """
    import torch

    from qcompare.evaluate.scoring.head import hidden_states, logits_of, split_model

    changes = _OutputChanges(model)
    with changes.watched(), split_model(model.model):
        for number, passage in enumerate(passages):
            changes.schemes = model.schemes if in_full is None or number < in_full else model.schemes[:1]
            tokens = torch.tensor([list(passage)], device=model.model.device)
            with torch.enable_grad():
                hidden = hidden_states(model.model, tokens)[0]
                head = hidden.detach().requires_grad_()
                logits = logits_of(model.model, head)
            for direction in directions(number, logits.detach()):
                changes.products = torch.zeros(
                    len(passage), len(model.layers), len(model.schemes), device=model.model.device
                )
                (at_head,) = torch.autograd.grad(logits, head, direction.to(logits.dtype), retain_graph=True)
                torch.autograd.backward(hidden, at_head, retain_graph=True)
                yield changes.products.cpu()
            changes.forget()
            report(number + 1, len(passages))


def by_scheme(model: SwitchableModel, losses: "torch.Tensor") -> LayerLosses:
    """Losses of shape (layers, schemes) as scheme → full layer name → loss, without BF16."""
    return {
        scheme: dict(zip(model.layers, losses[:, place].tolist(), strict=True))
        for place, scheme in enumerate(model.schemes)
        if scheme != UNQUANTIZED
    }


class _OutputChanges:
    """Hooks that keep ΔY of each layer on the way forward, and multiply it with the gradient on the way back."""

    products: "torch.Tensor"
    """Of one pass back, shape (tokens, layers, schemes)."""
    schemes: tuple[str, ...]
    """Those to look at."""
    _input: "torch.Tensor"

    def __init__(self, model: SwitchableModel) -> None:
        self.model = model
        self._rank = {name: rank for rank, name in enumerate(model.layers)}
        self._changes: dict[Any, dict[int, torch.Tensor]] = {}
        """By module."""

    def forget(self) -> None:
        """Free what was kept of the last passage."""
        self._changes.clear()

    @contextmanager
    def watched(self) -> Iterator[None]:
        model = self.model
        # no weight has a gradient, so the embeddings must ask for it
        embeddings = model.model.get_input_embeddings()
        handles = [embeddings.register_forward_hook(lambda module, ids, output: output.requires_grad_())]
        head = model.model.get_output_embeddings()
        is_tied = head is not None and head.weight is embeddings.weight
        tied = [(name, head) for name, layer in model.layers.items() if is_tied and layer is embeddings]
        for name, layer in (*model.layers.items(), *tied):
            handles.append(layer.register_forward_pre_hook(self._keep_input, prepend=True))  # as it was not rounded
            handles.append(layer.register_forward_hook(self._compare(name)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _keep_input(self, layer: Any, inputs: "tuple[torch.Tensor]") -> None:
        self._input = inputs[0]

    def _compare(self, name: str) -> Any:
        import torch

        model = self.model

        def compare(layer: Any, inputs: "tuple[torch.Tensor]", output: "torch.Tensor") -> None:
            if not output.requires_grad:
                return
            with torch.no_grad():
                self._changes[layer] = {
                    place: _output(layer, model.input(self._input, name, scheme), model.weight(name, scheme)) - output
                    for place, scheme in enumerate(self.schemes)
                    if scheme != model.config[name]
                }
            output.register_hook(lambda gradient: self._multiply(name, layer, gradient))

        return compare

    def _multiply(self, name: str, layer: Any, gradient: "torch.Tensor") -> None:
        import torch

        for place, change in self._changes[layer].items():
            per_token = (gradient * change).sum(-1, dtype=torch.float32).flatten()
            self.products[: len(per_token), self._rank[name], place] += per_token  # a tied head's to the embedding's


def _output(layer: Any, x: "torch.Tensor", weight: "torch.Tensor") -> "torch.Tensor":
    """What a layer makes of an input with other weights; some embeddings scale their rows."""
    import torch

    if isinstance(layer, torch.nn.Linear):
        return torch.nn.functional.linear(x, weight, layer.bias)
    own, layer.weight.data = layer.weight.data, weight
    found: torch.Tensor = layer.forward(x)
    layer.weight.data = own
    return found
