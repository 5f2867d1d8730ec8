"""What raising a layer takes off the KL divergence, to first order, with every layer at the low scheme.

⟨∂KL/∂Y, Y_scheme − Y_low⟩ with its sign, from one pass back through the model: errors that cancel others count for
the layer. As FIT and ModelOpt's gradient scores, but signed, on KL divergence and on the outputs of layers.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qcompare.quantize.simulate import original_head
from qcompare.recipes.scores import LayerScorer
from qcompare.recipes.scores.responses import by_scheme, responses
from qcompare.study.layers import LayerLosses

if TYPE_CHECKING:
    import torch

    from qcompare.recipes.lab import Lab


class _SignedGradient(LayerScorer):
    name = "signed_gradient"
    source = "signed first-order change of KL divergence at the low scheme; qcompare"

    def score(self, lab: "Lab", share: float) -> LayerLosses:
        return lab.bench.kept_losses(self.name, lambda: self._score(lab, share), share=share)

    def _score(self, lab: "Lab", share: float) -> LayerLosses:
        import torch

        from qcompare.evaluate.scoring.head import hidden_states, logits_of

        bench, model = lab.bench, lab.bench.model
        text = bench.part_of_text(share)
        model.switch({})
        with torch.no_grad():
            device = model.model.device
            originals = [hidden_states(model.model, torch.tensor([list(ids)], device=device))[0] for ids in text]

        def divergence(number: int, logits: "torch.Tensor") -> "Iterator[torch.Tensor]":
            with torch.no_grad(), original_head(model.model):
                p = logits_of(model.model, originals[number]).float().softmax(-1)
            yield logits.float().softmax(-1) - p

        model.switch(dict.fromkeys(model.layers, model.schemes[0]))
        tokens = sum(map(len, text))
        total = sum(found.double().sum(0) for found in responses(model, text, divergence, lab.report))
        assert isinstance(total, torch.Tensor)
        return by_scheme(model, total / tokens)


SIGNED_GRADIENT = _SignedGradient()
