"""What is known of a model without loading it: its linear layers and their sizes, from file headers."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from qcompare.errors import InvalidStudy, unknown
from qcompare.study.layers import LinearLayer
from qcompare.study.result import SOURCE_NOTES
from qcompare.study.spec import Study
from qcompare.words import Message, gettext_noop


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
    """Those that recipes may quantize, in the order of the model."""
    lm_head: LinearLayer | None = None
    """The output head; None where its files name none."""
    embedding: LinearLayer | None = None
    """The token embedding; None where it cannot be quantized."""
    tied: bool = False
    """The head is the embedding: one matrix for both."""
    unusual_cache: Message | None = None
    """Why it has no KV cache of plain keys and values; None where it has one."""

    @property
    def note(self) -> str | None:
        """What must be known to read figures measured on it."""
        return SOURCE_NOTES.get(self.source)

    @property
    def all_layers(self) -> tuple[LinearLayer, ...]:
        """Those that recipes may quantize in one study or another."""
        return tuple(dict.fromkeys(layer for layer in (self.embedding, *self.layers, self.lm_head) if layer))

    @property
    def num_quantized_params(self) -> int:
        """Weights in the layers that recipes may quantize."""
        return sum(layer.numel for layer in self.layers)

    @property
    def num_stored_params(self) -> int:
        """Weights in a checkpoint: a tied head that is quantized is a matrix of its own beside the embedding."""
        return self.num_params + (self.lm_head.numel if self.lm_head in self.layers and self.tied else 0)

    def of_study(self, study: Study) -> "ModelFacts":
        """The same with the layers that a study's recipes may quantize: by its `ignore`,
        `quant_lm_head` and `quant_embedding`.

        Raises:
            InvalidStudy: a pattern names no layer, none are left, or there is no head or embedding to quantize.
        """
        known = [layer.name for layer in self.all_layers] + ["lm_head"]
        if missing := next((each for each in study.ignore if not any(_matches(each, name) for name in known)), None):
            raise InvalidStudy(unknown(gettext_noop("layer to ignore"), missing, known[:20]))
        layers = self.layers
        if study.quant_lm_head:
            if self.lm_head is None:
                raise InvalidStudy(
                    "{model} has no lm_head that could be quantized: leave quant_lm_head out", model=self.title
                )
            if not (self.tied and study.quant_embedding):  # one matrix
                layers = (*layers, self.lm_head)
        if study.quant_embedding:
            if self.embedding is None:
                raise InvalidStudy(
                    "{model} has no embedding that could be quantized: leave quant_embedding out", model=self.title
                )
            layers = (self.embedding, *layers)
        layers = tuple(x for x in layers if not any(_matches(pattern, x.name) for pattern in study.ignore))
        if not layers:
            raise InvalidStudy("ignore names every layer: there is nothing left to quantize")
        return replace(self, layers=layers)


def _matches(pattern: str, name: str) -> bool:
    """As llm-compressor's `ignore`: a full name, or `re:` and a regular expression from the start of one."""
    return bool(re.match(pattern[3:], name)) if pattern.startswith("re:") else pattern == name


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
