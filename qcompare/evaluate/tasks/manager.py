"""A study's tasks made ready for lm-eval: its own definitions and data or, without a hub, the demo bundle's data.

Every task is a small generated YAML file that includes lm-eval's own file by path and keeps its name and version; for
the demo bundle it replaces where the data comes from, and nothing else. lm-eval then indexes these few files instead
of its 14 000, which saves ten seconds a job.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from qcompare.demo.bundle import ensure_bundle
from qcompare.errors import InvalidStudy
from qcompare.evaluate.tasks.find import entry_and_known, files_of, read_definition
from qcompare.evaluate.tasks.index import LOCAL_BUILDERS, Entry, tasks_folder
from qcompare.models.hub import hub_reachable
from qcompare.settings import Settings
from qcompare.store.moving import replace
from qcompare.study.task import TASKS, Task

HUB, BUNDLE, OWN, CACHE = "hub", "demo bundle", "task file", "cache of data sets"


@dataclass(frozen=True)
class TaskSet:
    """Tasks that are ready to be run by lm-eval."""

    manager: Any
    """An `lm_eval.tasks.TaskManager` that knows these tasks, and what they consist of, only."""
    data: dict[str, str]
    """The study's name of a task → `hub`, `demo bundle`, `cache of data sets` or, where it names its own data, `task
    file`."""


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
    cache = settings.home / "cache"
    originals = {task.name: definitions(task) for task in chosen}
    bundled = not from_hub and any(each.bundle for found in originals.values() for each in found)
    data = (bundle_dir or ensure_bundle(settings, report).folder) / "tasks" if bundled else None
    files: dict[str, str] = {}
    for found in originals.values():
        for each in found:
            text = each.as_yaml(data, cache / "datasets")
            if files.setdefault(each.file_name, text) != text:
                raise InvalidStudy("two tasks are both called '{name}': rename one", name=each.name)
    from lm_eval.tasks import TaskManager

    _sandbox_templates(settings)
    folder = _write(files, cache / "tasks")
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    return TaskSet(manager, {name: _source(found, from_hub) for name, found in originals.items()})


def _source(found: Sequence["Original"], from_hub: bool) -> str:
    if any(each.bundle for each in found):
        return HUB if from_hub else BUNDLE
    if all(each.is_own or each.is_group for each in found):
        return OWN
    return HUB if from_hub else CACHE


def _sandbox_templates(settings: Settings) -> None:
    """Keep templates of task files from running Python code, which lm-eval's own environment (0.4.13) would."""
    from jinja2.sandbox import SandboxedEnvironment
    from lm_eval import utils

    if not settings.trust_remote_code and not isinstance(utils.env, SandboxedEnvironment):
        sandbox = SandboxedEnvironment(undefined=utils.env.undefined, keep_trailing_newline=True)
        sandbox.filters |= utils.env.filters
        utils.env = sandbox


def stay_offline() -> None:
    """Keep this process from asking a hub, also through libraries that are imported already."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_UPDATE_DOWNLOAD_COUNTS="0")
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:
            for flag in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
                if hasattr(sys.modules[module], flag):
                    setattr(sys.modules[module], flag, True)


@dataclass(frozen=True)
class Original:
    """A YAML file that a task consists of."""

    name: str
    """Of the task or group it defines."""
    path: Path
    is_own: bool
    """Its data is its own, or its file is not lm-eval's."""
    is_group: bool
    bundle: Task | None
    """The built-in task whose data in the demo bundle it can use."""

    @property
    def file_name(self) -> str:
        """Of the file that includes it."""
        return f"{hashlib.sha256(self.name.encode()).hexdigest()[:8]}-{self.path.stem.strip('_')}.yaml"

    def as_yaml(self, data: Path | None, datasets_cache: Path) -> str:
        """A definition that includes it. JSON is valid YAML.

        Args:
            data: the demo bundle's folder of tasks, where its data is to be used.
        """
        values: dict[str, object] = {"include": str(self.path)}
        if data is not None and self.bundle:
            subject = self.path.stem.removeprefix(f"{self.bundle.name}_")
            values |= _bundled(self.bundle, subject, data, datasets_cache)
        elif self.is_own and not self.is_group:
            values |= _beside(self.path)
        return json.dumps(values, indent=1)


def definitions(task: Task) -> list[Original]:
    """The files that define a task: its own, and those of its parts.

    Raises:
        InvalidStudy: one cannot be read.
    """
    if task.yaml and not Path(task.yaml).is_absolute():
        paths = sorted(tasks_folder().glob(task.yaml))
        return [_built_in(task, path) for path in paths]
    if task.yaml:  # of a package of somebody else, or questions turned into a task
        return [Original(task.name, Path(task.yaml), True, False, None)]
    entry, known = entry_and_known(task)
    return [_original(name, each) for name, each in files_of(task.lm_eval_name, entry, known).items()]


def _built_in(task: Task, path: Path) -> Original:
    is_group = path.stem.startswith("_")
    return Original(str(path), path, False, is_group, None if is_group or not task.bundle_files else task)


def _original(name: str, entry: Entry) -> Original:
    path = tasks_folder() / entry.path  # an absolute path stays as it is
    is_group = entry.kind == "group"
    alike = (task for task in TASKS.values() if task.bundle_files and fnmatch(entry.path, task.yaml))
    own = Path(entry.path).is_absolute() or entry.dataset.partition(":")[0] in LOCAL_BUILDERS
    return Original(name, path, own, is_group, None if is_group else next(alike, None))


def _beside(path: Path) -> dict[str, object]:
    """Data files that a task file names by relative paths, as full paths: jobs run in folders of their own."""
    kwargs = read_definition(path).values.get("dataset_kwargs")
    if not isinstance(kwargs, dict) or "data_files" not in kwargs:
        return {}
    return {"dataset_kwargs": {**kwargs, "data_files": _absolute(kwargs["data_files"], path.parent)}}


def _absolute(files: Any, folder: Path) -> Any:
    if isinstance(files, dict):
        return {split: _absolute(each, folder) for split, each in files.items()}
    if isinstance(files, list):
        return [_absolute(each, folder) for each in files]
    return files if "://" in files else str(folder / files)


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
        replace(draft, folder / name)
    return folder
