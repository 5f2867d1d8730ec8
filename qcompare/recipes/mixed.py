"""`mixed`: the layers that matter most get the high scheme, by auto-round's AutoScheme scores."""

import time

from qcompare.errors import InvalidStudy
from qcompare.recipes.allocate import allocate
from qcompare.recipes.base import BuildContext, BuildCost, Recipe
from qcompare.recipes.lab import Lab
from qcompare.study.layers import LayerConfig
from qcompare.study.spec import Study
from qcompare.words import gettext_noop

SCORING_PASSES = 12.0
"""AutoScheme's scoring of a calibration token, in plain forward passes of the model."""


class Mixed(Recipe):
    name = "mixed"
    label = gettext_noop("Mixed")
    text = gettext_noop("The layers that matter most get the high scheme (AutoScheme).")
    colour = "#009E73"
    published_as = "Ours"
    by_default = True
    reads_weights = True

    def check(self, context: BuildContext) -> None:
        super().check(context)
        if context.study.quant_lm_head:
            raise InvalidStudy("{recipe} has no score for lm_head: set its quant_lm_head to false", recipe=self.name)

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
