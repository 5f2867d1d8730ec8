"""The linear layers of a model, and how sensitive they are."""

from dataclasses import dataclass

from qcompare.study.frozen import Frozen

LayerConfig = dict[str, str]
"""Full layer name → scheme; a layer that is not named stays at 16 bits."""


@dataclass(frozen=True)
class LinearLayer:
    """A linear layer that recipes may quantize."""

    name: str
    """Full name in the model, e.g. `model.layers.0.self_attn.q_proj`."""
    in_features: int
    out_features: int
    block: int
    """Index of the decoder block, 0 nearest the embedding."""

    @property
    def numel(self) -> int:
        """Number of weights."""
        return self.in_features * self.out_features


class LayerScores(Frozen):
    """Scores of all layers at all schemes of a study but BF16."""

    losses: dict[str, dict[str, float]]
    """Scheme → full layer name → estimated loss (auto-round's AutoScheme score on the calibration text)."""
    bits: dict[str, dict[str, int]]
    """Scheme → full layer name → bits that its weights take, as the study's budget counts them; BF16 too."""
