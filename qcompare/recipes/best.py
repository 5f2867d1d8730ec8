"""`best`: layers chosen by predicted KL divergence, then by KL divergence measured on text of their own.

Scores near the high-precision end (`scores/kl_fisher.py`) predict the divergence of any layer config, and `allocate`
takes the best of them within the budget. Predictions are a few percent off, so the config is then measured, on
calibration text that no score has seen: against the configs of other recipes, and against its neighbours, which
exchange one layer for another. The best measured one is taken. The number of comparisons is fixed, not their time, so
that a study gives the same layers again.
"""

import json
from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import mean, stdev
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from qcompare.errors import InvalidValue, unknown
from qcompare.recipes.allocate import allocate
from qcompare.recipes.base import BuildCost, Recipe
from qcompare.recipes.edges import edge_config
from qcompare.recipes.exchanges import exchanges
from qcompare.recipes.lab import Lab, Report
from qcompare.recipes.scores import SCORERS
from qcompare.study.layers import LayerConfig, LayerLosses
from qcompare.study.result import Choice
from qcompare.study.spec import Study
from qcompare.words import gettext_noop

SCORING_PASSES = 5.0
"""Of a calibration token, in plain forward passes of the model: forward, back, and the output at two schemes."""
QUICK_SHARE = 0.5
"""Of the calibration text that quick scores are taken on."""
MEASURING_PASSES = 1.5
"""To measure the KL divergence of a config: forward, and two output heads."""
SURELY_WORSE = 3.0
"""Standard errors by which another recipe's config is worse at first look and not looked at again."""
FIRST_LOOK = 4
"""Passages on which a config is compared first; one that is worse there is not compared on the others."""


def _known_scorer(name: str) -> str:
    if name not in SCORERS:
        raise InvalidValue(unknown(gettext_noop("way to score layers"), name, SCORERS))
    return name


class Best(Recipe):
    name = "best"
    label = gettext_noop("Best mixed")
    text = gettext_noop("Layers are chosen by predicted KL divergence to the original, then by measuring it.")
    colour = "#EE3377"
    reads_weights = True

    scores: Annotated[str, AfterValidator(_known_scorer)] = "kl_fisher"
    """How layers are scored, a name in `recipes.scores.SCORERS`."""
    effort: Literal["quick", "scores", "full"] = "full"
    """`full` measures configs; `scores` takes the best by its scores; `quick` scores on half the text as well."""
    exchanges: Annotated[int, Field(ge=0, le=10_000)] = 16
    """Neighbours that are measured, with `effort: full`."""

    def choose(self, lab: Lab) -> LayerConfig:
        study, context, report = lab.study, lab.context, lab.report
        scorer = SCORERS[self.scores]
        lab.report = _part(report, 0, 400 if self.effort == "full" else 1000)
        losses = scorer.score(lab, QUICK_SHARE if self.effort == "quick" else 1.0)
        lab.keep_scores(losses, scorer.name, scorer.in_nats)
        assert lab.layer_scores
        config = allocate(context.groups, study.schemes, losses, context.budget, study.ignore_scale_zp_bits)
        search = None
        if self.effort == "full":
            lab.report = _part(report, 400, 1000)
            search = _Search(lab, losses, config)
            search.compare_recipes()
            search.exchange(self.exchanges)
            config = search.config
        lab.report = report
        lab.choice = Choice(
            scorer=scorer.name,
            predicted_kl=lab.layer_scores.total(config) if scorer.in_nats else None,
            measured_kl=mean(search.kl) if search else None,
            measured_kl_stderr=_stderr(search.kl) if search else None,
            compared=search.compared if search else 0,
        )
        print(_in_words(lab.choice), flush=True)
        return config

    def cost(self, study: Study) -> BuildCost:
        text = study.calibration
        passes = {"quick": QUICK_SHARE * SCORING_PASSES, "scores": SCORING_PASSES}.get(
            self.effort, SCORING_PASSES + MEASURING_PASSES * (2 + self.exchanges / 2)
        )
        return BuildCost(choosing=passes * text.num_samples * text.max_seq_length)


class _Search:
    """The best config measured so far, on text that no score has seen."""

    def __init__(self, lab: Lab, losses: LayerLosses, config: LayerConfig) -> None:
        self._lab, self._bench = lab, lab.bench
        self._losses = {scheme: dict(of_layers) for scheme, of_layers in losses.items()}
        self.config = config
        self.kl = self._bench.kl(config, 0, self._bench.passages)
        """Per passage."""
        self.compared = 0

    def compare_recipes(self) -> None:
        """Take another recipe's config where that is better."""
        context, study = self._lab.context, self._lab.study
        rest = context.groups, study.schemes, context.budget, study.ignore_scale_zp_bits
        others = {end: edge_config(*rest, end) for end in ("head", "tail")}
        if (kept := self._lab.kept_autoscheme_scores()) is not None:
            others["mixed"] = allocate(*rest[:2], kept, *rest[2:])
        for name, config in others.items():
            if self._is_better(config, errors=SURELY_WORSE):
                print(f"{name} is better: KL {mean(self.kl):.4f}", flush=True)

    def exchange(self, comparisons: int) -> None:
        """Go from neighbour to better neighbour."""
        tried = {_key(self.config)}
        for done in range(comparisons):
            self._lab.report(done, comparisons)
            neighbour = next((each for each in self._neighbours() if _key(each) not in tried), None)
            if neighbour is None:
                return
            tried.add(_key(neighbour))
            before, predicted = self.config, self._predicted(neighbour) - self._predicted(self.config)
            if self._is_better(neighbour, errors=0.0):
                print(f"exchange {done + 1} of {comparisons}: KL {mean(self.kl):.4f}", flush=True)
            self._learn(before, neighbour, self._difference - predicted)

    def _neighbours(self) -> list[LayerConfig]:
        context, study = self._lab.context, self._lab.study
        return exchanges(
            context.groups, study.schemes, self._losses, self.config, context.budget, study.ignore_scale_zp_bits
        )

    def _is_better(self, config: LayerConfig, errors: float) -> bool:
        """Measure a config and take it where it is better. A first look saves the rest for one that is worse by more
        than so many standard errors."""
        self.compared += 1
        first = min(FIRST_LOOK, len(self.kl))
        found = self._bench.kl(config, 0, first)
        differences = [new - old for new, old in zip(found, self.kl, strict=False)]
        self._difference = mean(differences)
        if self._difference > errors * (_stderr(differences) or 0.0):
            return False
        found += self._bench.kl(config, first, len(self.kl))
        self._difference = mean(found) - mean(self.kl)
        if self._difference < 0:
            self.config, self.kl = config, found
        return self._difference < 0

    def _learn(self, before: LayerConfig, after: LayerConfig, surprise: float) -> None:
        """Move the losses of what was exchanged by half of what they were off: to come to other layers next."""
        changed = [name for name in after if after[name] != before[name]]
        for name in changed:
            if after[name] in self._losses:
                self._losses[after[name]][name] += surprise / 2 / len(changed)

    def _predicted(self, config: LayerConfig) -> float:
        return sum(self._losses.get(scheme, {}).get(name, 0.0) for name, scheme in config.items())


def _in_words(choice: Choice) -> str:
    found = f"layers chosen by {choice.scorer}"
    if choice.predicted_kl is not None:
        found += f"; predicted KL {choice.predicted_kl:.4f}"
    if choice.measured_kl is not None:
        found += f"; measured KL {choice.measured_kl:.4f} ± {choice.measured_kl_stderr or 0:.4f}"
        found += f", {choice.compared} other configs compared"
    return found


def _key(config: Mapping[str, str]) -> str:
    return json.dumps(sorted(config.items()))


def _stderr(values: Sequence[float]) -> float | None:
    return stdev(values) / sqrt(len(values)) if len(values) > 1 else None


def _part(report: Report, first: int, last: int) -> Report:
    """Progress of one part of the choice as that of the whole, in thousandths."""
    return lambda done, total: report(first + (last - first) * done // max(total, 1), 1000)
