"""lm-eval finds its own tasks, with their versions, and the bundle's questions in their own order."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qcompare.errors import InvalidStudy
from qcompare.evaluate.benchmarks import Options, TaskRequest, language_model, run_task
from qcompare.evaluate.tasks.manager import task_manager
from qcompare.models.facts import LocalModel
from qcompare.models.sources import load
from qcompare.plan.estimates import work
from qcompare.settings import Settings
from qcompare.study.spec import Study
from qcompare.study.task import TASKS

LOAD_ALL = (
    "import json,sys; from qcompare.evaluate.tasks.manager import task_manager;"
    "from qcompare.settings import Settings;"
    "s = task_manager(['piqa', 'winogrande', 'lambada_openai'], Settings());"
    "print(json.dumps({n: len(t.eval_docs) for n, t in s.manager.load(list(s.data))['tasks'].items()}))"
)


def test_a_task_of_another_package_is_asked_like_a_built_in_one(
    toy_package: None, tiny_llama: Path, settings: Settings
) -> None:
    study = Study(tasks=("toy",), limit=3)
    assert work("toy", study, study.recipes[0]) == 3
    model, tokenizer = load(LocalModel(tiny_llama, "tiny", "folder", "r"), "cpu", "float32", settings, False)
    options = Options(limit=study.limit, batch_size=2, add_bos_token=None, seed=0)
    lm = language_model("packed", model, tokenizer, options)
    found = task_manager(study.tasks, settings)
    score, questions = run_task(
        lm, TaskRequest("toy", found.data["toy"], study.examples("toy")), found.manager, options
    )
    assert (score.task, score.metric, score.n, score.data) == ("toy", "acc", 3, "task file")
    assert [row.options for row in questions] == [(" 0", " 0"), (" 2", " 1"), (" 4", " 2")]


def test_a_task_of_another_package_may_be_answered_in_writing(
    toy_package: None, tiny_llama: Path, settings: Settings
) -> None:
    model, tokenizer = load(LocalModel(tiny_llama, "tiny", "folder", "r"), "cpu", "float32", settings, False)
    options = Options(limit=None, batch_size=3, add_bos_token=None, seed=0)
    lm = language_model("packed", model, tokenizer, options)
    found = task_manager(["toy_written"], settings)
    score, questions = run_task(lm, TaskRequest("toy_written", "task file", 0), found.manager, options)
    assert (score.metric, score.n, score.flexible) == ("exact_match", 4, None)
    assert 0 <= (score.value or 0) <= 1
    assert all(row.answer is not None for row in questions)


def test_an_unknown_task_is_refused(settings: Settings) -> None:
    with pytest.raises(InvalidStudy, match="did you mean 'hellaswag'"):
        task_manager(["helaswag"], settings)


def test_no_tasks_need_no_data(settings: Settings) -> None:
    assert task_manager([], settings).data == {}


VERSIONS = {"gsm8k": "3.0"}


@pytest.mark.demo
@pytest.mark.parametrize("name", list(TASKS))
def test_the_bundle_gives_all_questions_of_a_task(name: str, demo_settings: Settings) -> None:
    found = task_manager([name], demo_settings)
    loaded = found.manager.load([name])
    tasks = loaded["tasks"].values()
    assert sum(len(task.eval_docs) for task in tasks) == TASKS[name].questions
    assert len(tasks) == TASKS[name].subjects
    assert found.data == {name: "demo bundle"}
    assert {str(task.VERSION) for task in tasks} == {VERSIONS.get(name, "1.0")}


@pytest.mark.demo
def test_only_the_place_of_the_data_differs_from_lm_evals_definition(demo_settings: Settings, tmp_path: Path) -> None:
    """Read lm-eval's own files beside the generated ones: all else must be equal."""
    import lm_eval.tasks
    from lm_eval.tasks._yaml_loader import load_yaml

    moved = {"dataset_path", "dataset_name", "dataset_kwargs", "training_split"}
    found = task_manager(list(TASKS), demo_settings)
    root = Path(lm_eval.tasks.__file__).parent
    originals = [path for files in TASKS.values() for path in root.glob(files.yaml)]
    assert len(originals) == 4 + 57 + 5 + 1
    for original in originals:
        ours = [load_yaml(entry.yaml_path) for entry in found.manager.task_index.values() if entry.yaml_path]
        theirs = load_yaml(original)
        key = "group" if "group" in theirs else "task"
        (same,) = [config for config in ours if config.get(key) == theirs[key]]
        assert {k: v for k, v in same.items() if k not in moved} == {
            k: v for k, v in theirs.items() if k not in moved
        }


@pytest.mark.demo
def test_each_mmlu_subject_gets_its_own_questions(demo_settings: Settings) -> None:
    found = task_manager(["mmlu"], demo_settings)
    for name, task in found.manager.load(["mmlu"])["tasks"].items():
        assert {doc["subject"] for doc in task.eval_docs} == {name.removeprefix("mmlu_")}
        assert len(task.fewshot_docs()) == 5


@pytest.mark.demo
def test_lambada_asks_for_the_last_word(demo_settings: Settings) -> None:
    found = task_manager(["lambada_openai"], demo_settings)
    (task,) = found.manager.load(["lambada_openai"])["tasks"].values()
    doc = task.eval_docs[0]
    assert task.doc_to_text(doc).endswith("I don't care about")
    assert task.doc_to_target(doc) == " signs"


@pytest.mark.demo
def test_two_processes_prepare_the_same_data_at_once(demo_settings: Settings) -> None:
    environment = os.environ | demo_settings.environment()
    running = [
        subprocess.Popen([sys.executable, "-c", LOAD_ALL], env=environment, stdout=-1, stderr=-1, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    counts = [json.loads(out.splitlines()[-1]) for out, _ in outputs]
    assert counts == [{"piqa": 1838, "winogrande": 1267, "lambada_openai": 5153}] * 2


@pytest.mark.demo
def test_lm_eval_scores_the_tasks_on_a_model(demo_settings: Settings, tiny_llama: Path) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    found = task_manager(list(TASKS), demo_settings)
    for name in TASKS.keys() - {"gsm8k"}:  # whose answers are written, not chosen: see test_benchmarks
        scores = simple_evaluate(
            HFLM(pretrained=str(tiny_llama), batch_size=8, device="cpu"),
            tasks=[name],
            limit=1 if name == "mmlu" else 2,
            task_manager=found.manager,
            bootstrap_iters=10,
        )
        assert 0 <= scores["results"][name]["acc,none"] <= 1
        assert str(scores["versions"][name]) == ("2" if name == "mmlu" else "1.0")
