"""Tasks: what a study can ask, one object per benchmark, with everything that any room needs to know about it.

A built-in task is an object in `evaluate/tasks/builtin.py` and one line below; a package of somebody else adds one
through an entry point of the group `qcompare.tasks` (task name → its `Task`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from qcompare.registry import Registry
from qcompare.words import gettext_noop


@dataclass(frozen=True)
class Task:
    """A benchmark: how it is shown, how much work it is, and where lm-eval finds it."""

    name: str
    """As in study files; a task or group of the YAML file."""
    title: str
    text: str
    """One plain sentence for the screen."""
    questions: int
    """Questions in the full task."""
    tokens_per_question: int
    """Tokens computed per question without few-shot examples; of the demo model's tokenizer."""
    yaml: str
    """lm-eval's definition: an absolute path, or a path or pattern below `lm_eval/tasks`. Files whose names begin
    with `_` are groups."""
    subjects: int = 1
    """Parts that `limit` counts separately."""
    num_fewshot: int = 0
    """Worked examples before each question, as lm-eval does by default."""
    generates: bool = False
    """The model writes its answers (`output_type: generate_until`), instead of rating given ones."""
    builder: Literal["arrow", "json"] = "arrow"
    """`datasets` builder of `bundle_files`."""
    bundle_files: Mapping[str, str] = field(default_factory=dict)
    """Split → path below the demo bundle's `tasks`, with `{subject}` for what follows the task in the YAML's name.
    They replace the YAML's own data where no hub can be reached; empty: the YAML's own data is used always."""


TASKS: Registry[Task] = Registry(
    "qcompare.tasks",
    gettext_noop("task"),
    {
        "lambada_openai": "qcompare.evaluate.tasks.builtin:LAMBADA",
        "hellaswag": "qcompare.evaluate.tasks.builtin:HELLASWAG",
        "piqa": "qcompare.evaluate.tasks.builtin:PIQA",
        "winogrande": "qcompare.evaluate.tasks.builtin:WINOGRANDE",
        "mmlu": "qcompare.evaluate.tasks.builtin:MMLU",
        "gsm8k": "qcompare.evaluate.tasks.builtin:GSM8K",
    },
)
