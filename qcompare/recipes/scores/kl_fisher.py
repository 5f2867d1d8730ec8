"""KL divergence to second order, from random probes of its curvature at the original model.

Near the original, KL(original ‖ rounded) = ½ δᵀ(diag p − ppᵀ)δ per token, with δ the change of the logits. A probe is
r = √p∘ε − p·Σ(√p∘ε) with random signs ε over the vocabulary, whose covariance is that curvature: so ½(Σ_t⟨r_t, δ_t⟩)² is
on average the divergence summed over tokens, and one pass back through the model gives ⟨r, δ⟩ for every layer and
scheme (`responses`). Measured at the high-precision end, where the recipe's answer lies, with rounded inputs in view.
Relatives: PrismaQuant's KL Fisher; ModelOpt's `(g_Y·ΔY)²`; Hessian-free traces (HAWQ-V2, arXiv:1911.03852).
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from qcompare.quantize.switchable import SwitchableModel
from qcompare.recipes.scores.responses import responses

if TYPE_CHECKING:
    import torch

    from qcompare.recipes.base import Report
