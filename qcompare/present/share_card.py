"""The answer as a few large words, for a picture and for the first slide."""

from collections.abc import Iterator
from dataclasses import dataclass

from qcompare.compare.choice import Choice, choose
from qcompare.compare.table import Comparison, Row
from qcompare.present.answer import answer, share_kept, sizes, unsettled
from qcompare.present.numbers import questions
from qcompare.words import gettext


@dataclass(frozen=True)
class Fact:
    """A figure and what it counts."""

    value: str
    label: str


@dataclass(frozen=True)
class ShareCard:
    """What a colleague needs of a study who sees nothing else of it."""

    claim: str
    facts: tuple[Fact, ...]
    """Size and share kept, of the recipe that the claim is about; empty where no recipe is measured."""
    certainty: str
    """How sure that is, with the count of questions; empty where there are no facts."""
    model: str


def share_card(comparison: Comparison) -> ShareCard:
    """The answer of a study, or of several, in short."""
    choice, claim = choose(comparison), answer(comparison).plain.claim
    model = comparison.model_title
    if choice is None:
        return ShareCard(claim, (), "", model)
    row = choice.pick or choice.highest
    return ShareCard(claim, tuple(_facts(choice, row)), _certainty(choice, row), model)


def _facts(choice: Choice, row: Row) -> Iterator[Fact]:
    found = sizes(choice, row)
    if found["original"]:
        yield Fact(found["size"], gettext("instead of {original}: {smaller} smaller", **found))
    elif row.size_bytes:
        yield Fact(found["size"], gettext("size"))
    if kept := share_kept(row):
        yield Fact(kept, gettext("right answers for every 100 of the original"))


def _certainty(choice: Choice, row: Row) -> str:
    if not choice.not_worse:
        return unsettled(choice)
    paired = row.versus_bf16
    asked = questions(paired.questions if paired else choice.questions)
    return gettext("Sure to 95 %, from {questions}.", questions=asked)
