"""From a recipe's name to its layer config. Adding a recipe: one module, one line in a table below."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcompare.formats.bits import LayerConfig, check_budget, names
from qcompare.models.facts import LinearLayer
from qcompare.recipes.allocate import allocate
from qcompare.recipes.autoscheme import LayerLosses, Scoring, layer_losses
from qcompare.recipes.edges import edge_config
from qcompare.recipes.groups import Group, layer_groups
from qcompare.study.presets import RECIPES
from qcompare.study.spec import Study


@dataclass(frozen=True)
class Asked:
    """What a study asks of a recipe."""

    study: Study
    layers: tuple[LinearLayer, ...]
    avg_bits: float | None

    @property
    def budget(self) -> float:
        """The budget, inside the reachable range.

        Raises:
            InvalidStudy: it is out of reach.
        """
        assert self.avg_bits is not None, "the plan gives every recipe that takes a budget one"
        return check_budget(self.avg_bits, self.layers, self.study.schemes, self.study.ignore_scale_zp_bits)

    @property
    def groups(self) -> tuple[Group, ...]:
        """Layers that get their scheme together."""
        return layer_groups(self.layers, self.study.shared_layers)


@dataclass(frozen=True)
class Means:
    """What recipes that must look at the weights may use."""

    load_model: Callable[[], tuple[Any, Any]]
    """A fresh (model, tokenizer)."""
    device: str
    calibration: str | None
    """Data set for auto-round; None is its default."""
    score_cache: Path
    """Folder for layer scores of this model revision."""
    report: Callable[[int, int], None]
    scored: Callable[[LayerLosses], None] = lambda losses: None
    """Told the scores by which layers are chosen."""


def config_from_sizes(recipe: str, asked: Asked) -> LayerConfig | None:
    """The layer config where it follows from the layers' sizes alone; None where the weights decide.

    Raises:
        InvalidStudy: the budget is out of reach.
    """
    builder = FROM_SIZES.get(recipe)
    return builder(asked) if builder else None


def layer_config(recipe: str, asked: Asked, means: Means) -> LayerConfig:
    """Full layer name → scheme name; empty leaves the model as it is.

    Raises:
        InvalidStudy: the budget is out of reach.
    """
    config = config_from_sizes(recipe, asked)
    return FROM_WEIGHTS[recipe](asked, means) if config is None else config


def _bf16(asked: Asked) -> LayerConfig:
    return {}


def _uniform(asked: Asked) -> LayerConfig:
    return dict.fromkeys(names(asked.layers), asked.study.schemes[0])


def _checkpoint(scheme: str) -> Callable[[Asked], LayerConfig]:
    return lambda asked: dict.fromkeys(names(asked.layers), scheme)


def _edge(end: str) -> Callable[[Asked], LayerConfig]:
    def build(asked: Asked) -> LayerConfig:
        study = asked.study
        return edge_config(asked.groups, study.schemes, asked.budget, study.ignore_scale_zp_bits, end)

    return build


def _mixed(asked: Asked, means: Means) -> LayerConfig:
    study = asked.study
    scoring = Scoring(
        dataset=means.calibration,
        num_samples=study.calibration.num_samples,
        max_seq_length=study.calibration.max_seq_length,
        seed=study.seed,
    )
    started = time.perf_counter()
    losses = layer_losses(means.load_model, study.schemes, scoring, means.device, means.score_cache, means.report)
    means.scored(losses)
    scored = time.perf_counter()
    config = allocate(asked.groups, study.schemes, losses, asked.budget, study.ignore_scale_zp_bits)
    chosen = time.perf_counter()
    print(
        f"layer scores took {scored - started:.2f} s, the choice for this budget {chosen - scored:.2f} s", flush=True
    )
    return config


FROM_SIZES: dict[str, Callable[[Asked], LayerConfig]] = {
    "bf16": _bf16,
    "uniform": _uniform,
    "head": _edge("head"),
    "tail": _edge("tail"),
    **{name: _checkpoint(info.checkpoint_scheme) for name, info in RECIPES.items() if info.checkpoint_scheme},
}
FROM_WEIGHTS: dict[str, Callable[[Asked, Means], LayerConfig]] = {"mixed": _mixed}
