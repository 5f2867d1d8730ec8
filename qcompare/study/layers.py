"""The linear layers of a model, and how sensitive they are."""

from collections.abc import Mapping
from dataclasses import dataclass

from qcompare.study.frozen import Frozen

LayerConfig = dict[str, str]
"""Full layer name → scheme; a layer that is not named stays at 16 bits."""


@dataclass(frozen=True)
class LinearLayer:
    """A linear layer that recipes may quantize, or the token embedding."""

    name: str
    """Full name in the model, e.g. `model.layers.0.self_attn.q_proj`."""
    in_features: int
    out_features: int
    block: int
    """Index of the decoder block, 0 nearest the embedding; that itself is at -1, the output head after the last."""

    @property
    def is_embedding(self) -> bool:
        """The token embedding: a matrix of that shape (tokens, hidden features), but no linear layer."""
        return self.block < 0

    @property
    def numel(self) -> int:
        """Number of weights."""
        return self.in_features * self.out_features


LayerLosses = dict[str, dict[str, float]]
"""Scheme → full layer name → estimated loss; a scheme that is missing costs nothing (BF16)."""


class LayerScores(Frozen):
    """Scores of all layers at all schemes of a study but BF16."""

    losses: LayerLosses
    bits: dict[str, dict[str, int]]
    """Scheme → full layer name → bits that its weights take, as the study's budget counts them; BF16 too."""
    scorer: str = "autoscheme"
    """How layers were scored, a name in `recipes.scores.SCORERS`."""
    in_nats: bool = False
    """The sum over the layers of a layer config predicts its KL divergence to the original per token, in nats."""
    layers: tuple[LinearLayer, ...] = ()
    """In the order of the model; empty in results of version 0.1."""
    num_params: int = 0
    """All weights of the model."""

    def total(self, layer_config: Mapping[str, str]) -> float:
        """The summed loss of a layer config; with `in_nats` the predicted KL divergence."""
        return sum(self.losses.get(scheme, {}).get(name, 0.0) for name, scheme in layer_config.items())
