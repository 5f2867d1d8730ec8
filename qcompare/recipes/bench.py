"""On what layers are scored and chosen by measurement: the original in changing schemes, and two calibration texts.

Scores are taken on one text, configs are compared on the other, so that a choice that fits only the first is found
out. Both are apart from the held-out text on which a study's results are compared. What is measured is kept at once,
passage by passage: an interrupted search goes on where it was, and the same search again measures nothing.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcompare.quantize.switchable import SwitchableModel
from qcompare.recipes.calibration import ULTRACHAT, split_rows
from qcompare.study.formats import UNQUANTIZED, format_of, scheme_definitions
from qcompare.study.layers import LayerLosses

if TYPE_CHECKING:
    import torch

    from qcompare.recipes.lab import Lab

SOURCES = (
    *("qcompare.models.loading", "qcompare.formats", "qcompare.quantize", "qcompare.recipes.calibration"),
    *("qcompare.evaluate.divergence", "qcompare.evaluate.scoring.head", "qcompare.recipes.bench"),
)
LOSSES = "losses.json"
Passage = Sequence[int]


class Bench:
    """One model on which configs are compared. It is loaded when the first number is needed that is not kept."""

    def __init__(self, lab: "Lab") -> None:
        self.lab = lab

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """What numbers measured here depend on besides model and machine: for keys of the cache."""
        schemes = scheme_definitions(self.lab.study.schemes)
        return self.lab.scoring(self.lab.calibration(ULTRACHAT)).inputs | {"schemes": schemes}

    @cached_property
    def model(self) -> SwitchableModel:
        """The original, unquantized at first."""
        return self._loaded[0]

    @cached_property
    def texts(self) -> tuple[tuple[Passage, ...], tuple[Passage, ...]]:
        """Tokens to score layers on, and others to compare configs on."""
        return self._loaded[1]

    def part_of_text(self, share: float) -> tuple[Passage, ...]:
        """The first passages of the text to score layers on, one at least."""
        text = self.texts[0]
        return text[: max(1, round(share * len(text)))]

    @cached_property
    def _loaded(self) -> tuple[SwitchableModel, tuple[tuple[Passage, ...], tuple[Passage, ...]]]:
        lab = self.lab
        model, tokenizer = lab.load_to_score()
        texts = split_rows(lab.calibration(ULTRACHAT), lab.study.calibration, tokenizer)
        names = [layer.name for layer in lab.facts.layers]
        calibrated = [s for s in lab.study.schemes if (format := format_of(s)) and format.calibrates_inputs]
        maxima = lab.maxima_of_inputs(model, tokenizer, names) if calibrated else {}
        return SwitchableModel(model, names, lab.study.schemes, maxima), texts

    def kept_losses(self, scorer: str, score: Callable[[], LayerLosses], **inputs: Any) -> LayerLosses:
        """Scores of this model: those that are kept, or computed now and kept.

        Args:
            inputs: what they depend on besides the model, the schemes and the text.
        """

        def make(folder: Path) -> None:
            (folder / LOSSES).write_text(json.dumps(score()), encoding="utf-8")

        inputs |= {"layers": [layer.name for layer in self.lab.facts.layers], **self.inputs}
        key = self.lab.cache_key(f"{scorer}_scores", (*SOURCES, "qcompare.recipes.scores"), **inputs)
        losses: LayerLosses = json.loads((self.lab.cache.entry(key, make) / LOSSES).read_text(encoding="utf-8"))
        return losses

    @cached_property
    def passages(self) -> int:
        """How many passages configs are compared on; known without the model once something was measured."""
        kept = self._kept.get([b"passages"])
        if not kept:
            self._kept.put({b"passages": str(len(self.texts[1])).encode()})
        return int(kept[b"passages"]) if kept else len(self.texts[1])

    @cached_property
    def _kept(self) -> Any:
        return self.lab.cache.rows(self.lab.cache_key("measured_kl", SOURCES, **self.inputs))

    @cached_property
    def _reference(self) -> "list[torch.Tensor]":
        from qcompare.evaluate.divergence import Passages, reference_states

        self.model.switch({})
        return reference_states(self.model.model, Passages(tuple(map(tuple, self.texts[1])), ""))

    def kl(self, config: Mapping[str, str], first: int, last: int) -> list[float]:
        """Mean KL(original ‖ config) per token of passages `first` to `last` of the text that compares, in nats."""
        keys = [_row_key(config, number) for number in range(first, last)]
        kept = self._kept.get(keys)
        found = []
        for number, key in enumerate(keys, start=first):
            if key not in kept:
                kept[key] = json.dumps(self._measured(config, number)).encode()
                self._kept.put({key: kept[key]})
            found.append(float(json.loads(kept[key])))
        return found

    def _measured(self, config: Mapping[str, str], number: int) -> float:
        from qcompare.evaluate.divergence import Passages, divergence

        states = self._reference[number]
        self.model.switch(config)
        return divergence(self.model.model, [states], Passages((tuple(self.texts[1][number]),), "")).kl


def _row_key(config: Mapping[str, str], number: int) -> bytes:
    """Of one passage under a config; layers that stay as they are do not count."""
    quantized = sorted((name, scheme) for name, scheme in config.items() if scheme != UNQUANTIZED)
    return hashlib.sha256(json.dumps([quantized, number]).encode()).digest()
