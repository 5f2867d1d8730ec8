"""Every term of the field that the screen uses, in plain words: shown on hover, on keyboard focus and on tap.

`explained` finds the terms in a text, in the language spoken now, so that no text needs to be written for it. Recipes
and schemes are explained by their own lines in `presets`.
"""

import re
from collections.abc import Mapping
from functools import cache

from markupsafe import Markup, escape

from qcompare.study.formats import SCHEMES
from qcompare.study.recipe import RECIPES
from qcompare.words import gettext, gettext_noop, language

TERMS: tuple[tuple[str, str], ...] = (
    (
        gettext_noop("bits per weight|average bits|Bits"),
        gettext_noop(
            "How many bits one number of the model takes on average. Fewer bits: a smaller model, and more damage."
        ),
    ),
    (
        gettext_noop("scales"),
        gettext_noop(
            "Numbers stored beside a group of weights that stretch its levels to the right range; they take bits too."
        ),
    ),
    (
        gettext_noop("KL divergence|KL"),
        gettext_noop(
            "How far the predictions are from the original's, word by word (0: the same). It shows damage sooner."
        ),
    ),
    (gettext_noop("perplexity"), gettext_noop("How surprised a model is by real text: lower is better.")),
    (
        gettext_noop("held-out text"),
        gettext_noop("Text that is in none of the tasks and served no calibration: the models only read it."),
    ),
    (
        gettext_noop("calibration|calibrated"),
        gettext_noop(
            "Reading some text with the original model to find out which layers matter most, or which values occur."
        ),
    ),
    (
        gettext_noop("lost and gained|lost/gained|flips"),
        gettext_noop(
            "Answers that changed: lost were right before, gained were wrong. Equal scores can hide many of both."
        ),
    ),
    (
        gettext_noop("standard error"),
        gettext_noop("How far a score would typically move if other questions of the same kind had been asked."),
    ),
    (
        gettext_noop("interval|intervals"),
        gettext_noop(
            "The range in which the true value lies 95 times in 100: chance in the choice of questions is in it."
        ),
    ),
    (
        gettext_noop("significant|significantly"),
        gettext_noop("Chance alone would do this in fewer than 5 of 100 studies, also counting all comparisons."),
    ),
    (
        gettext_noop("may be chance"),
        gettext_noop("The questions asked are too few to tell: the true difference may be zero."),
    ),
    (
        gettext_noop("McNemar"),
        gettext_noop(
            "A test of two models on the same questions: are the changed answers split too unevenly for a coin?"
        ),
    ),
    (
        gettext_noop("Holm"),
        gettext_noop("A correction: among many comparisons some succeed by chance, so each must clear a higher bar."),
    ),
    (
        gettext_noop("bootstrap"),
        gettext_noop(
            "Drawing the questions again by lot, many times, to see how a score depends on which were asked."
        ),
    ),
    (
        gettext_noop("p =|p <"),
        gettext_noop("How often chance alone would give a difference at least as large, if there were none."),
    ),
    (
        gettext_noop("Pareto front|best trade-offs"),
        gettext_noop(
            "The recipes that none other beats with as few bits; everything below the line is the worse deal."
        ),
    ),
    (
        gettext_noop("simulated"),
        gettext_noop(
            "The weights are rounded just as the format would, but computed as usual: true accuracy, no true speed."
        ),
    ),
    (
        gettext_noop("packed"),
        gettext_noop(
            "Our way of scoring: options share the context of their question. The answers are lm-eval's, sooner."
        ),
    ),
    (
        gettext_noop("acc_norm"),
        gettext_noop(
            "Accuracy where an option's probability is first divided by its length, so that short ones win nothing."
        ),
    ),
    (
        gettext_noop("few-shot examples|few-shot"),
        gettext_noop("Solved examples put before each question, so that the model sees what is asked of it."),
    ),
    (gettext_noop("budget"), gettext_noop("The average number of bits per weight that a recipe may use.")),
    (
        gettext_noop("AutoScheme"),
        gettext_noop("auto-round's method: measure how each layer suffers, then spend the bits where it hurts most."),
    ),
    (
        gettext_noop("AWQ"),
        gettext_noop(
            "Activation-aware weight quantization: weights with large inputs are scaled up before rounding."
        ),
    ),
    (
        gettext_noop("logits"),
        gettext_noop("The raw numbers from which a model computes the probability of each next word."),
    ),
    (gettext_noop("checkpoint"), gettext_noop("A model written to disk as files that other programs can load.")),
    (gettext_noop("sensitivity"), gettext_noop("How much the model's error grows when this layer is rounded.")),
    (gettext_noop("accuracy"), gettext_noop("The share of questions answered right.")),
    (
        gettext_noop("points"),
        gettext_noop("Percentage points: from 60 to 58 right answers in 100 is a loss of 2 points."),
    ),
)
"""Spellings of a term with bars between, and what it means."""


def explained(text: str) -> Markup:
    """A text as HTML, escaped, with the first occurrence of every known term explained."""
    meanings, found = _meanings(language())
    seen: set[str] = set()

    def mark(match: re.Match[str]) -> str:
        word = match.group()
        meaning = meanings[word.lower()]
        if meaning in seen:
            return str(escape(word))
        seen.add(meaning)
        return str(term(word, meaning))

    parts, at = [], 0
    for match in found.finditer(text):
        parts += [str(escape(text[at : match.start()])), mark(match)]
        at = match.end()
    return Markup("".join([*parts, str(escape(text[at:]))]))


def term(word: str, meaning: str) -> Markup:
    """A word with an explanation that appears on hover, focus and tap; see `templates/terms.js`."""
    return Markup('<dfn class="qc-term" tabindex="0" data-term="{}">{}</dfn>').format(meaning, word)


@cache
def _meanings(spoken: str) -> tuple[Mapping[str, str], re.Pattern[str]]:
    """By spelling in lower case: the meaning; and what finds the spellings in a text, the longest first.

    Args:
        spoken: the language spoken now, the key under which this is remembered.
    """
    meanings = {spelling.lower(): gettext(text) for names, text in TERMS for spelling in gettext(names).split("|")}
    meanings |= {gettext(recipe.label).lower(): gettext(recipe.text) for recipe in RECIPES.values()}
    for scheme in SCHEMES.values():
        if scheme.name.lower() not in meanings:
            meanings[scheme.name.lower()] = gettext(scheme.text, bits=scheme.bits, group_size=scheme.group_size)
    spellings = "|".join(map(re.escape, sorted(meanings, key=len, reverse=True)))
    # Latin words only whole; Chinese ones stand without spaces.
    return meanings, re.compile(rf"(?<![A-Za-z0-9_])(?:{spellings})(?![A-Za-z0-9_])", re.IGNORECASE)
