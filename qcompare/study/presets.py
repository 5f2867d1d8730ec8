"""What the screen offers ready-made: budgets, tasks, three sizes of a study, prompts."""

from dataclasses import dataclass

from qcompare.words import gettext_noop

PUBLISHED_BUDGETS: tuple[float, ...] = (3.0, 4.5, 5.0, 6.0)
"""Average bits of the published tables (scales not counted): ticks on the budget slider."""


PUBLISHED_TASKS: tuple[str, ...] = ("lambada_openai", "hellaswag", "piqa", "winogrande", "mmlu")
"""Over which the published tables average."""


@dataclass(frozen=True)
class Size:
    """A ready number of questions."""

    name: str
    tasks: tuple[str, ...]
    limit: int | None
    text: str


SIZES: tuple[Size, ...] = (
    Size(gettext_noop("Quick"), ("lambada_openai", "hellaswag", "piqa", "winogrande"), 25, "a first look"),
    Size(gettext_noop("Standard"), ("lambada_openai", "hellaswag", "piqa", "winogrande"), 100, "a useful comparison"),
    Size(gettext_noop("Full"), PUBLISHED_TASKS, None, "every question of the five published tasks"),
)

DEFAULT_SIZE = SIZES[1]
"""Of a study that says nothing of it, the demo among them."""

DEFAULT_PROMPTS: tuple[str, ...] = (
    "What is the capital of France, and what is it famous for?",
    "Explain to a child why the sky is blue.",
)
