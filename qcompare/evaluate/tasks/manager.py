"""A study's tasks made ready for lm-eval: its own definitions and data or, without a hub, the demo bundle's data.

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
from qcompare.models.hub import hub_reachable
from qcompare.settings import Settings
from qcompare.study.task import TASKS, Task

HUB, BUNDLE, OWN = "hub", "demo bundle", "task file"


@dataclass(frozen=True)
class TaskSet:
    """Tasks that are ready to be run by lm-eval."""

    manager: Any
    """An `lm_eval.tasks.TaskManager` that knows these tasks only."""
    data: dict[str, str]
    """The study's name of a task → `hub`, `demo bundle` or, for a task that names its own data, `task file`."""


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
        report: called with what happens while the bundle is fetched.

    Raises:
        InvalidStudy: no such task.
        ModelUnavailable: neither the hub nor the bundle is available.
    """
    chosen = [TASKS[name] for name in tasks]
    from_hub = hub_reachable(settings)
    if not from_hub:
        stay_offline()
    bundled = not from_hub and any(task.bundle_files for task in chosen)
    data = (bundle_dir or ensure_bundle(settings, report).folder) / "tasks" if bundled else None
    cache = settings.home / "cache"
    files = {file: text for task in chosen for file, text in _definitions(task, data, cache / "datasets").items()}
    from lm_eval.tasks import TaskManager

    folder = _write(files, cache / "tasks")
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    source = HUB if from_hub else BUNDLE
    return TaskSet(manager, {task.name: source if task.bundle_files else OWN for task in chosen})


def stay_offline() -> None:
    """Keep this process from asking a hub, also through libraries that are imported already."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_UPDATE_DOWNLOAD_COUNTS="0")
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:
            for flag in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
                if hasattr(sys.modules[module], flag):
                    setattr(sys.modules[module], flag, True)


def _definitions(task: Task, data: Path | None, datasets_cache: Path) -> dict[str, str]:
    """File name → text of the YAML files of one task. JSON is valid YAML."""
    import lm_eval.tasks

    texts = {}
    root = Path(lm_eval.tasks.__file__).parent
    for original in sorted([Path(task.yaml)] if Path(task.yaml).is_absolute() else root.glob(task.yaml)):
        values: dict[str, object] = {"include": str(original)}
        is_group = original.stem.startswith("_")
        if data is not None and task.bundle_files and not is_group:
            values |= _bundled(task, original.stem.removeprefix(f"{task.name}_"), data, datasets_cache)
        texts[f"{task.name}-{original.stem.strip('_')}.yaml"] = json.dumps(values, indent=1)
    return texts


def _bundled(task: Task, subject: str, data: Path, datasets_cache: Path) -> dict[str, object]:
    """What replaces lm-eval's own data. The bundle has no training data: few-shot examples come from what is left."""
    files = {split: str(data / path.format(subject=subject)) for split, path in task.bundle_files.items()}
    return {
        "dataset_path": task.builder,
        "dataset_name": None,
        "training_split": None,
        "dataset_kwargs": {"data_files": files, "cache_dir": str(datasets_cache)},
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
