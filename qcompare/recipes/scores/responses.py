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
) -> "Iterator[torch.Tensor]":
    """For each passage and each f, at the model's layer config: ⟨∂f/∂Y, ΔY⟩ at every token of the layers' outputs.

    Yields:
        Shape (tokens, layers, schemes) in the order of `model.layers` and `model.schemes`, on the CPU; zeros at the
        scheme that a layer has.
    """
    import torch

    from qcompare.evaluate.scoring.head import hidden_states, logits_of, split_model

    changes = _OutputChanges(model)
    with changes.watched(), split_model(model.model):
        for number, passage in enumerate(passages):
            tokens = torch.tensor([list(passage)], device=model.model.device)
            with torch.enable_grad():
                hidden = hidden_states(model.model, tokens)[0]
                head = hidden.detach().requires_grad_()
                logits = logits_of(model.model, head)
            for direction in directions(number, logits.detach()):
                (at_head,) = torch.autograd.grad(logits, head, direction.to(logits.dtype), retain_graph=True)
                changes.products = torch.zeros(
                    len(passage), len(model.layers), len(model.schemes), device=model.model.device
                )
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
    _input: "torch.Tensor"

    def __init__(self, model: SwitchableModel) -> None:
        self.model = model
        self._rank = {name: rank for rank, name in enumerate(model.layers)}
        self._changes: dict[str, dict[int, torch.Tensor]] = {}

    def forget(self) -> None:
        """Free what was kept of the last passage."""
        self._changes.clear()

    @contextmanager
    def watched(self) -> Iterator[None]:
        model = self.model
        # no weight has a gradient, so the embeddings must ask for it
        embeddings = model.model.get_input_embeddings()
        handles = [embeddings.register_forward_hook(lambda module, ids, output: output.requires_grad_())]
        for name, layer in model.layers.items():
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
        from torch.nn.functional import linear

        model = self.model

        def compare(layer: Any, inputs: "tuple[torch.Tensor]", output: "torch.Tensor") -> None:
            with torch.no_grad():
                self._changes[name] = {
                    place: linear(model.input(self._input, name, scheme), model.weight(name, scheme), layer.bias)
                    - output
                    for place, scheme in enumerate(model.schemes)
                    if scheme != model.config[name]
                }
            output.register_hook(lambda gradient: self._multiply(name, gradient))

        return compare

    def _multiply(self, name: str, gradient: "torch.Tensor") -> None:
        for place, change in self._changes[name].items():
            per_token = (gradient * change).sum(-1).flatten().float()
            self.products[: len(per_token), self._rank[name], place] = per_token
