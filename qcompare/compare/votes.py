"""Blind votes of all voters together: how often each recipe's answer was found best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qcompare.compare.selection import Selection
from qcompare.study.prompts import Prompt, so_far
from qcompare.study.result import Result
from qcompare.study.vote import Vote
from qcompare.words import Message

LEVEL = 0.95


@dataclass(frozen=True)
class Preference:
    """One recipe."""

    job_id: str
    recipe: str
    title: Message
    won: int
    """Votes for its answer, or for one that is word for word the same."""
    votes: int
    """Votes in which its answer could be chosen."""
    low: float
    high: float
    """Wilson's interval of the share, 95 %, as if all votes were independent."""
    by_chance: float
    """The share that choosing blindly would give it."""

    @property
    def share(self) -> float:
        """Of the votes."""
        return self.won / self.votes


@dataclass(frozen=True)
class Pooled:
    """All votes on a selection."""

    votes: int
    voters: int
    preferences: tuple[Preference, ...]
    """The most often chosen first; recipes that could never be chosen are left out."""


def pooled(selection: Selection, votes: Sequence[Vote]) -> Pooled:
    """The votes on the prompts and the rows of a selection."""
    answers = {result.job_id: answers_of(result, selection.spec.prompts) for result in selection.results}
    counted = [vote for vote in votes if vote.prompt in answers.get(vote.chosen, {})]
    found = filter(None, (_preference(selection, result, answers, counted) for result in selection.results))
    ordered = sorted(found, key=lambda each: (-each.share, -each.low))
    return Pooled(len(counted), len({vote.voter for vote in counted}), tuple(ordered))


def answers_of(result: Result, prompts: Sequence[Prompt]) -> Mapping[Prompt, tuple[str, ...]]:
    """A row's answers to all turns of each prompt that it has answered to the end."""
    said = {each.prompt: each.text for each in result.generations}
    return {
        prompt: tuple(said[step] for step in so_far(prompt))
        for prompt in prompts
        if all(step in said for step in so_far(prompt))
    }


def _preference(
    selection: Selection,
    result: Result,
    answers: Mapping[str, Mapping[Prompt, tuple[str, ...]]],
    votes: Sequence[Vote],
) -> Preference | None:
    from scipy.stats import binomtest

    mine = [vote for vote in votes if result.job_id in vote.shown]
    if not mine:
        return None
    won, expected = 0, 0.0
    for vote in mine:
        texts = [answers.get(job_id, {}).get(vote.prompt) for job_id in vote.shown]
        own = answers[result.job_id].get(vote.prompt)
        won += answers[vote.chosen][vote.prompt] == own
        expected += texts.count(own) / len(texts)
    interval = binomtest(won, len(mine)).proportion_ci(LEVEL, method="wilson")
    title = selection.titles[result.job_id]
    low, high = float(interval.low), float(interval.high)
    return Preference(result.job_id, result.recipe, title, won, len(mine), low, high, expected / len(mine))
