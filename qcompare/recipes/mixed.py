"""`mixed`: the layers that matter most get the high scheme, by auto-round's AutoScheme scores."""

import time
from collections.abc import Sequence

from qcompare.errors import InvalidStudy
from qcompare.recipes.allocate import allocate
from qcompare.recipes.base import BuildContext, BuildCost, Recipe
from qcompare.recipes.lab import Lab
from qcompare.study.formats import SCHEMES
from qcompare.study.layers import LayerConfig, LayerLosses
from qcompare.study.spec import Study
from qcompare.words import gettext_noop

SCORING_PASSES = 12.0
"""AutoScheme's scoring of a calibration token, in plain forward passes of the model."""


HEAD_BITS = 6
"""auto-round gives an output head so many at least, where a scheme has them and the budget allows it."""


def head_protected(losses: LayerLosses, schemes: Sequence[str], avg_bits: float) -> LayerLosses:
    """Losses by which a quantized lm_head gets the schemes that auto-round lets it have: its scores of heads are too
    low (`auto_round/auto_scheme/delta_loss.py: _apply_head_trick`). Losses without a head stay as they are."""
    scored = [scheme for scheme in schemes if "lm_head" in losses.get(scheme, {})]
    if not scored:
        return losses
    high = [scheme for scheme in schemes if SCHEMES[scheme].bits >= HEAD_BITS]
    if not high:
        allowed = [min(scored, key=lambda scheme: losses[scheme]["lm_head"])]
    elif avg_bits > HEAD_BITS:
        allowed = [max(high, key=lambda scheme: SCHEMES[scheme].bits)]
    else:
        allowed = high
    # more than anything else could save, so that others are taken only where the budget leaves no choice
    penalty = 10 * sum(sum(its.values()) for its in losses.values())
    return {
        scheme: its | ({"lm_head": its["lm_head"] + penalty} if scheme in scored and scheme not in allowed else {})
        for scheme, its in losses.items()
    }


class Mixed(Recipe):
    name = "mixed"
    label = gettext_noop("Mixed")
    text = gettext_noop("The layers that matter most get the high scheme (AutoScheme).")
    colour = "#009E73"
    marker = "diamond"
    published_as = "Ours"
    by_default = True
    reads_weights = True

    def check(self, context: BuildContext) -> None:
        super().check(context)
        if context.study.quant_embedding:
            raise InvalidStudy(
                "{recipe} has no score for the embedding: set its quant_embedding to false", recipe=self.name
            )

    def choose(self, lab: Lab) -> LayerConfig:
        context, study = lab.context, lab.study
        started = time.perf_counter()
        scores = lab.autoscheme_scores()
        lab.keep_scores(scores, "autoscheme", in_nats=False)
        scored = time.perf_counter()
        scores = head_protected(scores, study.schemes, context.budget)
        config = allocate(context.groups, study.schemes, scores, context.budget, study.ignore_scale_zp_bits)
        chosen = time.perf_counter()
        print(
            f"layer scores took {scored - started:.2f} s, the choice for this budget {chosen - scored:.2f} s",
            flush=True,
        )
        return config

    def cost(self, study: Study) -> BuildCost:
        text = study.calibration
        return BuildCost(choosing=SCORING_PASSES * text.num_samples * text.max_seq_length)
