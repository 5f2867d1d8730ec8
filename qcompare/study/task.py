"""Tasks: what a study can ask, with everything that any room needs to know about each.

A built-in task is an object in `evaluate/tasks/builtin.py` and one line below; a package of somebody else adds one
through an entry point of the group `qcompare.tasks` (task name → its `Task`). Any other task of lm-eval, and files,
are looked up when they are asked for, by `evaluate/tasks/find.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from qcompare.errors import InvalidStudy
from qcompare.registry import Registry
from qcompare.words import gettext_noop

GUESS = 1000
"""Questions of a task whose data is not known yet, for estimates."""


@dataclass(frozen=True)
class Task:
    """A benchmark: how it is shown, how much work it is, and where lm-eval finds it."""

    name: str
    """As in study files; a task or group of the YAML file, or an absolute path."""
    title: str
    text: str
    """One plain sentence for the screen."""
    questions: int | None
    """Questions in the full task; None: known only when its data is loaded."""
    tokens_per_question: int
    """Tokens computed per question without few-shot examples; of the demo model's tokenizer."""
    yaml: str = ""
    """lm-eval's definition: an absolute path, or a path or pattern below `lm_eval/tasks`. Files whose names begin
    with `_` are groups. Empty: what lm-eval's index says."""
    subjects: int = 1
    """Parts that `limit` counts separately."""
    num_fewshot: int = 0
    """Worked examples before each question, as lm-eval does by default."""
    own_fewshot: bool = False
    """A study that names no number leaves it to lm-eval: parts may have numbers of their own."""
    generates: bool = False
    """The model writes its answers (`output_type: generate_until`), instead of rating given ones."""
    rolling: bool = False
    """Texts are rated whole (`output_type: loglikelihood_rolling`): the score is a perplexity."""
    builder: Literal["arrow", "json"] = "arrow"
    """`datasets` builder of `bundle_files`."""
    bundle_files: Mapping[str, str] = field(default_factory=dict)
    """Split → path below the demo bundle's `tasks`, with `{subject}` for what follows the task in the YAML's name.
    They replace the YAML's own data where no hub can be reached; empty: the YAML's own data is used always."""
    lm_eval_name: str = ""
    """Its name in lm-eval, where that is another."""
    output_types: tuple[str, ...] = ()
    """lm-eval's, of all its parts; empty where `generates` says it all."""

    def count(self, limit: int | None) -> int:
        """Questions asked under a limit, which counts each of its subjects; a guess where they are not known."""
        if limit is None:
            return self.questions or GUESS * self.subjects
        return min(limit * self.subjects, self.questions or limit * self.subjects)


class Tasks(Registry[Task]):
    """The tasks on offer. Looking one up also finds all that lm-eval knows, and files."""

    def __getitem__(self, name: str) -> Task:
        """
        Raises:
            InvalidStudy: there is none of that name, or its file is not what it should be.
        """
        found: Task = self._found[name] if name in self._found else self._finder().find_task(name)
        return found

    def get(self, name: str, default: Task | None = None) -> Task | None:  # type: ignore[override]
        """The task of that name, or `default` where it is not available."""
        try:
            return self[name]
        except InvalidStudy:
            return default

    def expand(self, name: str) -> tuple[str, ...]:
        """The tasks that a name in a study file stands for: a tag of lm-eval, or a folder, for several.

        Raises:
            InvalidStudy: as for looking one up.
        """
        names: tuple[str, ...] = (name,) if name in self._found else self._finder().expand(name)
        return names

    def title(self, name: str) -> str:
        """A name for people, also of a task that is no longer available."""
        return self._found[name].title if name in self._found else Path(name).stem if is_file(name) else name

    def _finder(self) -> Any:
        return import_module("qcompare.evaluate.tasks.find")  # a later room, as for the objects below


def short_name(name: str) -> str:
    """A study's name of a task, of a file without its folder."""
    return Path(name).name if is_file(name) else name


def is_file(name: str) -> bool:
    """Whether a study's name of a task is the path of a file or folder."""
    return "/" in name or "\\" in name or name.startswith(("~", ".")) or name.endswith(FILES)


FILES = (".yaml", ".yml", ".csv", ".jsonl", ".xlsx")

TASKS = Tasks(
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
