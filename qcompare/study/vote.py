"""What somebody found best of the answers to a prompt, without knowing whose they were."""

from qcompare.study.frozen import Frozen
from qcompare.study.prompts import Prompt


class Vote(Frozen):
    """One blind vote; another of the same voter on the same prompt replaces it."""

    studies: str
    """Ids of the studies whose answers stood beside each other, with commas between."""
    prompt: Prompt
    voter: str
    """Tells voters apart, and says nothing about them."""
    chosen: str
    """Id of the job whose answer was found best."""
    shown: tuple[str, ...]
    """Ids of the jobs whose answers could be chosen."""
    time: float
