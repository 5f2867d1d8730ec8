"""What the screen offers ready-made: budgets, tasks, three sizes of a study, prompts."""

from dataclasses import dataclass

from qcompare.words import gettext_noop

PUBLISHED_BUDGETS: tuple[float, ...] = (3.0, 4.5, 5.0, 6.0)
"""Average bits of the published tables (scales not counted): ticks on the budget slider."""


@dataclass(frozen=True)
class TaskInfo:
    """A benchmark as the screen names it."""

    name: str
    title: str
    text: str
    subjects: int
    """Parts that `limit` counts separately."""
    questions: int
    """Questions in the full task."""
    num_fewshot: int = 0
    """Worked examples before each question, as lm-eval does by default."""


TASKS: dict[str, TaskInfo] = {
    t.name: t
    for t in (
        TaskInfo("lambada_openai", "LAMBADA", gettext_noop("Guess the last word of a passage."), 1, 5153),
        TaskInfo("hellaswag", "HellaSwag", gettext_noop("Pick the sensible continuation of a story."), 1, 10042),
        TaskInfo("piqa", "PIQA", gettext_noop("Pick the way that works in the physical world."), 1, 1838),
        TaskInfo("winogrande", "WinoGrande", gettext_noop("Work out whom a pronoun means."), 1, 1267),
        TaskInfo("mmlu", "MMLU", gettext_noop("Exam questions from 57 subjects."), 57, 14042),
        TaskInfo(
            "gsm8k", "GSM8K", gettext_noop("Work out a school maths problem in writing."), 1, 1319, num_fewshot=5
        ),
    )
}


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

DEFAULT_PROMPTS: tuple[str, ...] = (
    "What is the capital of France, and what is it famous for?",
    "Explain to a child why the sky is blue.",
)
