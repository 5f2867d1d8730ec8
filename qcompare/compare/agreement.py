"""How far two answers to the same prompt are the same."""

import re
from dataclasses import dataclass

_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Agreement:
    """A text cut at its first word that differs from a baseline; the parts join to the text."""

    same_words: int
    """Words that are the same, from the beginning."""
    before: str
    word: str
    """First differing word; empty when the whole text agrees, or only ends sooner."""
    after: str
    identical: bool
    """Word for word the same, to the end of both."""


def agreement(baseline: str, text: str) -> Agreement:
    """Cut a text where it leaves the baseline. White space is not compared.

    >>> agreement("Paris is the capital", "Paris is  a city")
    Agreement(same_words=2, before='Paris is  ', word='a', after=' city', identical=False)
    """
    theirs = _WORD.findall(baseline)
    same = 0
    for match in _WORD.finditer(text):
        if same == len(theirs) or match.group() != theirs[same]:
            return Agreement(same, text[: match.start()], match.group(), text[match.end() :], False)
        same += 1
    return Agreement(same, text, "", "", same == len(theirs))
