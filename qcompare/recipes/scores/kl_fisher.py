"""KL divergence to second order, from random probes of its curvature at the original model.

Near the original, KL(original ‖ rounded) = ½ δᵀ(diag p − ppᵀ)δ per token, δ being the change of its logits. A probe
is r = √p∘ε − p·Σ(√p∘ε) with random signs ε over the vocabulary: its covariance is that curvature, so ½(Σ⟨r, δ⟩)² is
on average the divergence, summed over tokens, and one pass back through the model gives ⟨r, δ⟩ for every layer and
scheme (`responses`). It is measured at the high-precision end, where the best configs lie, rounded inputs included.

A passage gives one such square, so a layer's mean of them is far from certain. The sum of squares token by token is
certain, but leaves out what a layer's errors at different tokens do together. That part is much the same for all
layers of a kind (q_proj, down_proj …): so the loss of a layer is its sum of squares by tokens, times the ratio of the
two over all layers of its kind, drawn a little towards its own squares by passages, as far as these are certain.

Relatives: HAWQ-V2's traces (arXiv:1911.03852), PrismaQuant's KL Fisher, ModelOpt's `(g_Y·ΔY)²`. The two-level
estimate is ours.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from qcompare.recipes.scores import LayerScorer
from qcompare.recipes.scores.responses import by_scheme, responses
from qcompare.study.layers import LayerLosses

if TYPE_CHECKING:
    import torch

    from qcompare.recipes.lab import Lab

SPREAD = 0.25
"""By how much the ratio of a layer differs from that of its kind: a standard deviation, of its logarithm."""


class _KLFisher(LayerScorer):
    name = "kl_fisher"
    source = "Fisher information by random probes; qcompare"
    in_nats = True

    def score(self, lab: "Lab", share: float) -> LayerLosses:
        return lab.bench.kept_losses(self.name, lambda: self._score(lab, share), share=share)

    def _score(self, lab: "Lab", share: float) -> LayerLosses:
        import torch

        model, text = lab.bench.model, lab.bench.part_of_text(share)
        signs = torch.Generator().manual_seed(lab.study.seed)

        def probe(number: int, logits: "torch.Tensor") -> "Iterator[torch.Tensor]":
            p = logits.float().softmax(-1)
            epsilon = torch.randint(0, 2, p.shape, generator=signs, dtype=torch.int8).to(p.device) * 2 - 1
            root = p.sqrt() * epsilon
            yield root - p * root.sum(-1, keepdim=True)

        model.switch({})
        by_token = by_passage = torch.zeros(())
        tokens = sum(map(len, text))
        for products in responses(model, text, probe, lab.report):
            found = products.double()
            by_token = by_token + found.square().sum(0) / (2 * tokens)
            by_passage = by_passage + found.sum(0).square() / (2 * tokens)
        kinds = [name.rpartition(".")[2] for name in model.layers]
        return by_scheme(model, two_level(by_token, by_passage, kinds, len(text)))


def two_level(
    by_token: "torch.Tensor", by_passage: "torch.Tensor", kinds: Sequence[str], passages: int
) -> "torch.Tensor":
    """The estimate above, shape (layers, schemes), from two of the same shape.

    Args:
        kinds: of each layer.
        passages: independent ones behind `by_passage`.
    """
    import torch

    own_share = SPREAD**2 / (SPREAD**2 + 2 / passages)  # the square of a normal variable has a variance of 2
    found = torch.empty_like(by_token)
    for kind in set(kinds):
        rows = [row for row, its in enumerate(kinds) if its == kind]
        certain, uncertain = by_token[rows], by_passage[rows]
        seen = certain > 0
        ratio = (uncertain[seen] / certain[seen]).mean() if seen.any() else 1.0
        found[rows] = (1 - own_share) * ratio * certain + own_share * uncertain
    return found


KL_FISHER = _KLFisher()
