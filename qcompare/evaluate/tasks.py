"""The benchmarks as lm-eval tasks: its own definitions, with its own data or, without a hub, the demo bundle's.

Every task is a small generated YAML file that includes lm-eval's own file by path and keeps its name and version; for
the demo bundle it replaces where the data comes from, and nothing else. lm-eval then indexes these few files instead
of its 14 000, which saves ten seconds a job.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcompare.demo.bundle import ensure_bundle
from qcompare.errors import InvalidStudy, unknown
from qcompare.models.hub import hub_reachable
from qcompare.settings import Settings
from qcompare.words import gettext_noop

HUB, BUNDLE = "hub", "demo bundle"


@dataclass(frozen=True)
class TaskFiles:
    """Where one task is defined in lm-eval, and where its data lies in the demo bundle."""

    yaml: str
    """Path or pattern below `lm_eval/tasks`; files whose names begin with `_` are groups."""
    builder: str
    """`datasets` builder of the bundled files: `arrow` or `json`."""
    data: dict[str, str]
    """Split → path below the bundle's `tasks`, with `{subject}` for what follows the task in the YAML's name."""


TASK_FILES: dict[str, TaskFiles] = {
    "lambada_openai": TaskFiles("lambada/lambada_openai.yaml", "json", {"test": "lambada_openai/test.jsonl"}),
    "hellaswag": TaskFiles("hellaswag/hellaswag.yaml", "arrow", {"validation": "hellaswag/validation.arrow"}),
    "piqa": TaskFiles("piqa/piqa.yaml", "arrow", {"validation": "piqa/validation.arrow"}),
    "winogrande": TaskFiles("winogrande/default.yaml", "arrow", {"validation": "winogrande/validation.arrow"}),
    "mmlu": TaskFiles(
        "mmlu/default/*mmlu*.yaml",
        "arrow",
        {"dev": "mmlu/{subject}/dev.arrow", "test": "mmlu/{subject}/test.arrow"},
    ),
    # Its own training data is not in the bundle: the examples before each question are eight others.
    "gsm8k": TaskFiles(
        "gsm8k/gsm8k.yaml", "json", {"train": "gsm8k/worked_examples.jsonl", "test": "gsm8k/test.jsonl"}
    ),
}


@dataclass(frozen=True)
class TaskSet:
    """Tasks that are ready to be run by lm-eval."""

    manager: Any
    """An `lm_eval.tasks.TaskManager` that knows these tasks only."""
    runs_as: dict[str, str]
    """The study's name of a task → its name in `manager`."""
    data: dict[str, str]
    """The study's name of a task → `hub` or `demo bundle`."""


def task_manager(
    tasks: Iterable[str],
    settings: Settings,
    bundle_dir: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> TaskSet:
    """Prepare tasks for lm-eval: from the hub where it can be reached, else from the demo bundle.

    Without a hub this process is kept from asking it (`stay_offline`).

    Args:
        tasks: names as the study gives them.
        settings: `offline` means: do not even try the hub.
        bundle_dir: a finished bundle (`models.bundle.Bundle.folder`); default: the demo bundle, fetched if missing.
        report: told what happens while the bundle is fetched.

    Raises:
        InvalidStudy: no such task.
        ModelUnavailable: neither hub nor bundle is to be had.
    """
    names = list(tasks)
    for name in names:
        if name not in TASK_FILES:
            raise InvalidStudy(unknown(gettext_noop("task"), name, TASK_FILES))
    from_hub = hub_reachable(settings)
    if not from_hub:
        stay_offline()
    data = None if from_hub or not names else (bundle_dir or ensure_bundle(settings, report).folder) / "tasks"
    cache = settings.home / "cache"
    files = {file: text for name in names for file, text in _definitions(name, data, cache / "datasets").items()}
    from lm_eval.tasks import TaskManager

    folder = _write(files, cache / "tasks")
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    return TaskSet(manager, dict(zip(names, names, strict=True)), dict.fromkeys(names, HUB if from_hub else BUNDLE))


def stay_offline() -> None:
    """Keep this process from asking a hub, also through libraries that are imported already."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_UPDATE_DOWNLOAD_COUNTS="0")
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:
            for flag in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
                if hasattr(sys.modules[module], flag):
                    setattr(sys.modules[module], flag, True)


def _definitions(task: str, data: Path | None, datasets_cache: Path) -> dict[str, str]:
    """File name → text of the YAML files of one task. JSON is valid YAML."""
    import lm_eval.tasks

    texts = {}
    for original in sorted(Path(lm_eval.tasks.__file__).parent.glob(TASK_FILES[task].yaml)):
        values: dict[str, Any] = {"include": str(original)}
        is_group = original.stem.startswith("_")
        if data is not None and not is_group:
            subject = original.stem.removeprefix(f"{task}_")
            values |= _bundled(TASK_FILES[task], subject, data, datasets_cache)
        texts[f"{task}-{original.stem.strip('_')}.yaml"] = json.dumps(values, indent=1)
    return texts


def _bundled(files: TaskFiles, subject: str, data: Path, datasets_cache: Path) -> dict[str, Any]:
    """What replaces lm-eval's own data. The bundle has no training data: few-shot examples come from what is left."""
    return {
        "dataset_path": files.builder,
        "dataset_name": None,
        "training_split": None,
        "dataset_kwargs": {
            "data_files": {split: str(data / path.format(subject=subject)) for split, path in files.data.items()},
            "cache_dir": str(datasets_cache),
        },
    }


def _write(files: dict[str, str], parent: Path) -> Path:
    """Write the files into a folder named by their content, so that several processes can share it."""
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12]
    folder = parent / digest
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        draft = folder / f"{name}.{os.getpid()}.draft"
        draft.write_text(text, encoding="utf-8")
        draft.replace(folder / name)
    return folder
