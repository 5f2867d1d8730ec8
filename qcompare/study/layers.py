"""How sensitive the layers of a model are: what the mixed recipe was chosen by, kept beside its result."""

from qcompare.study.spec import Frozen


class LayerScores(Frozen):
    """Scores of all layers at all schemes of a study but BF16."""

    losses: dict[str, dict[str, float]]
    """Scheme → full layer name → estimated loss (auto-round's AutoScheme score on the calibration text)."""
    bits: dict[str, dict[str, int]]
    """Scheme → full layer name → bits that its weights take, as the study's budget counts them; BF16 too."""
