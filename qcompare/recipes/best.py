"""`best`: layers chosen by predicted KL divergence, then by KL divergence measured on text of their own.

Scores near the high-precision end (`scores/kl_fisher.py`) predict the divergence of any layer config, and `allocate`
takes the best of them within the budget. Predictions are a few percent off, and layers act on each other, so the
config is then measured, on calibration text that no score has seen: against the configs of other recipes, and against
some that exchange layers for others of equal cost (`belief`). Each teaches which exchange to try next; the best that
was measured is taken. The number of comparisons is fixed, not their time: a study gives the same layers again.
"""

import json
from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import mean, stdev
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from qcompare.errors import InvalidStudy, InvalidValue, unknown
from qcompare.recipes.allocate import allocate
from qcompare.recipes.base import BuildContext, BuildCost, Recipe
from qcompare.recipes.belief import Belief
from qcompare.recipes.edges import edge_config
from qcompare.recipes.lab import Lab, Report
from qcompare.recipes.mixed import Mixed
from qcompare.recipes.scores import SCORERS
from qcompare.study.layers import LayerConfig, LayerLosses
from qcompare.study.result import Choice
from qcompare.study.spec import Study
from qcompare.words import gettext_noop

SCORING_PASSES = 4.0
"""Of a calibration token, in plain forward passes of the model: forward, back, outputs at the lowest scheme."""
QUICK_SHARE = 0.5
"""Of the calibration text that quick scores are taken on."""
MEASURING_PASSES = 1.5
"""To measure the KL divergence of a config: forward, and two output heads."""
SURELY_WORSE = 3.0
"""Standard errors by which another recipe's config is worse at first look and not looked at again."""
MAX_DRAWS = 10
"""Until a config comes up that was not measured."""
SURELY_BETTER = 2.0
"""Standard errors by which an exchange must be better: of ten that change nothing, the luckiest is better by 1.5."""
FIRST_LOOK = 4
"""Passages on which a config is compared first; one that is worse there is not compared on the others."""


def _known_scorer(name: str) -> str:
    if name not in SCORERS:
        raise InvalidValue(unknown(gettext_noop("layer scorer"), name, SCORERS))
    return name


class Best(Recipe):
    name = "best"
    label = gettext_noop("Best mixed")
    text = gettext_noop("Layers are chosen by predicted KL divergence to the original, then by measuring it.")
    colour = "#5A00F0"
    marker = "star"
    reads_weights = True

    scores: Annotated[str, AfterValidator(_known_scorer)] = "kl_fisher"
    """How layers are scored, a name in `recipes.scores.SCORERS`."""
    effort: Literal["quick", "scores", "full"] = "full"
    """`full` measures configs; `scores` takes the best by its scores; `quick` scores on half the text as well."""
    comparisons: Annotated[int, Field(ge=0, le=10_000)] = 10
    """Configs with exchanged layers that are measured, with `effort: full`."""

    def check(self, context: BuildContext) -> None:
        super().check(context)
        if context.study.quant_embedding and not SCORERS[self.scores].scores_embeddings:
            raise InvalidStudy(
                "{recipe} with scores: {scores} has no score for the embedding: set its quant_embedding to false, or "
                "choose other scores",
                recipe=self.name,
                scores=self.scores,
            )

    def choose(self, lab: Lab) -> LayerConfig:
        study, context, report = lab.study, lab.context, lab.report
        scorer = SCORERS[self.scores]
        # before there is another model in memory
        others = self._configs_of_others(lab) if self.effort == "full" else {}
        lab.report = _part(report, 0, 400 if self.effort == "full" else 1000)
        losses = scorer.score(lab, QUICK_SHARE if self.effort == "quick" else 1.0)
        lab.keep_scores(losses, scorer.name, scorer.in_nats)
        assert lab.layer_scores
        config = allocate(context.groups, study.schemes, losses, context.budget, study.ignore_scale_zp_bits)
        search = None
        if self.effort == "full":
            lab.report = _part(report, 400, 1000)
            search = _Search(lab, losses, config)
            search.compare(others)
            search.exchange(self.comparisons)
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

    def _configs_of_others(self, lab: Lab) -> dict[str, LayerConfig]:
        """What it must not be worse than: the edges, and AutoScheme's choice where the study holds that too."""
        study, context = lab.study, lab.context
        rest = context.groups, study.schemes, context.budget, study.ignore_scale_zp_bits
        others = {end: edge_config(*rest, end) for end in ("head", "tail")}
        same_schemes = (study.schemes,) if self.schemes else (study.schemes, None)
        if any(isinstance(recipe, Mixed) and recipe.schemes in same_schemes for recipe in study.recipes):
            others[Mixed.name] = allocate(*rest[:2], lab.autoscheme_scores(), *rest[2:])
        return others

    def cost(self, study: Study) -> BuildCost:
        tokens = study.calibration.num_samples * study.calibration.max_seq_length
        scoring = SCORING_PASSES * (QUICK_SHARE if self.effort == "quick" else 1.0) * tokens
        # about half of them are not looked at twice
        measuring = MEASURING_PASSES * (2 + self.comparisons / 2) * tokens / 2 if self.effort == "full" else 0.0
        return BuildCost(choosing=scoring + measuring, again=measuring)


class _Search:
    """The best config measured so far, on text that no score has seen."""

    def __init__(self, lab: Lab, losses: LayerLosses, config: LayerConfig) -> None:
        context, study = lab.context, lab.study
        self._lab, self._bench = lab, lab.bench
        self._rest = context.groups, study.schemes, context.budget, study.ignore_scale_zp_bits
        self.config = config
        self.kl = self._bench.kl(config, 0, self._bench.passages)
        """Per passage."""
        self.compared = 0
        self._belief = Belief(*self._rest[:2], losses, *self._rest[2:], study.seed)
        if (expected := self._belief.total(config)) > 0:
            self._belief.scale(mean(self.kl) / expected)

    def compare(self, others: Mapping[str, LayerConfig]) -> None:
        """Take another recipe's config where that is better."""
        for name, config in others.items():
            if self._is_better(config, SURELY_WORSE, 0.0):
                print(f"{name} is better: KL {mean(self.kl):.4f}", flush=True)

    def exchange(self, comparisons: int) -> None:
        """Measure configs that exchange layers for others of equal cost, the likeliest to be better first."""
        tried = {_key(self.config)}
        for done in range(comparisons):
            self._lab.report(done, comparisons)
            config = self._belief.expected_best()
            for _ in range(MAX_DRAWS):
                if _key(config) not in tried:
                    break
                config = self._belief.draw()
            else:
                return
            tried.add(_key(config))
            if self._is_better(config, 0.0, SURELY_BETTER):
                print(f"comparison {done + 1} of {comparisons}: KL {mean(self.kl):.4f}", flush=True)

    def _is_better(self, config: LayerConfig, hopeless: float, better: float) -> bool:
        """Measure a config and take it where it is better.

        Args:
            hopeless: standard errors by which it may be worse at first look and is measured further.
            better: standard errors by which it must be better in the end.
        """
        if config == self.config:
            return False
        self.compared += 1
        found = self._bench.kl(config, 0, min(FIRST_LOOK, len(self.kl)))
        differences = [new - old for new, old in zip(found, self.kl, strict=False)]
        if mean(differences) <= hopeless * _stderr(differences):
            found += self._bench.kl(config, len(found), len(self.kl))
            differences = [new - old for new, old in zip(found, self.kl, strict=True)]
        self._belief.learn(config, self.config, mean(differences), _stderr(differences))
        taken = len(found) == len(self.kl) and mean(differences) < -better * _stderr(differences)
        if taken:
            self.config, self.kl = config, found
        return taken


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


def _stderr(values: Sequence[float]) -> float:
    """Of the mean; of a single value its size, as nothing else is known."""
    return stdev(values) / sqrt(len(values)) if len(values) > 1 else abs(values[0])


def _part(report: Report, first: int, last: int) -> Report:
    """Progress of one part of the choice as that of the whole, in thousandths."""
    return lambda done, total: report(first + (last - first) * done // max(total, 1), 1000)
