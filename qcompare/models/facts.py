"""What is known of a model without loading it: its linear layers and their sizes, from file headers."""

from dataclasses import dataclass
from pathlib import Path

from qcompare.study.layers import LinearLayer


@dataclass(frozen=True)
class ModelFacts:
    """A model as its files describe it."""

    model: str
    """As the study names it."""
    title: str
    """For people: "SmolLM2-135M-Instruct"."""
    source: str
    """`demo bundle`, `hub` or `folder`."""
    family: str
    """`model_type` of its config, e.g. `llama`."""
    num_params: int
    """All weights; shared (tied) ones count once."""
    size_bytes: int
    """Weight files on disk."""
    license: str | None
    layers: tuple[LinearLayer, ...]
    """In the order of the model."""

    @property
    def num_quantized_params(self) -> int:
        """Weights in the linear layers of the blocks."""
        return sum(layer.numel for layer in self.layers)


@dataclass(frozen=True)
class LocalModel:
    """A model whose files are on this machine."""

    path: Path
    name: str
    """For people."""
    source: str
    """`demo bundle`, `folder` or `hub`."""
    revision: str
    """Commit on the hub, or a hash over the folder's files (`models.folder.folder_revision`)."""
