"""Any task of lm-eval, and task files: found by name, asked as lm-eval asks, refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcompare.errors import InvalidStudy
from qcompare.evaluate.benchmarks import Options, TaskRequest, average, language_model, run_task
from qcompare.evaluate.tasks import check
from qcompare.evaluate.tasks.check import check_tasks
from qcompare.evaluate.tasks.index import _index, lm_eval_index, tasks_folder
from qcompare.evaluate.tasks.manager import task_manager
from qcompare.models.facts import LocalModel
from qcompare.models.sources import load
from qcompare.settings import Settings
from qcompare.study.reading import load_study, parse_study
from qcompare.study.spec import Study
from qcompare.study.task import TASKS

CHOICE = {
    "output_type": "multiple_choice", "doc_to_text": "{{question}}", "doc_to_choice": "{{options}}",
    "doc_to_target": "{{answer}}",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True}],
}  # fmt: skip
TASK_FILES: dict[str, dict[str, Any]] = {
    "colours": CHOICE,
    "sums": CHOICE,
    "poems": {
        "output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}",
        "metric_list": [
            {"metric": "word_perplexity", "aggregation": "weighted_perplexity", "higher_is_better": False},
            {"metric": "bits_per_byte", "aggregation": "bits_per_byte", "higher_is_better": False},
        ],
    },
    "translations": {
        "output_type": "generate_until", "doc_to_text": "{{question}}", "doc_to_target": "{{text}}",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 6, "do_sample": False},
        "metric_list": [{"metric": "chrf", "aggregation": "chrf", "higher_is_better": True}],
    },
}  # fmt: skip
GROUPS = {"by_size": True, "by_part": False}
SIZES = {"colours": 7, "sums": 3, "poems": 6, "translations": 5}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of task files with their data beside them, named by relative paths."""
    folder = tmp_path / "own"
    folder.mkdir()
    for name, values in TASK_FILES.items():
        docs = [
            {
                "question": f"{name} {n}?", "options": [f"{n} of them", "none", "all"][: 2 + n % 2], "answer": n % 2,
                "text": " ".join(f"Line {line} of text {n}." for line in range(1 + 20 * (n % 3))),
            }
            for n in range(SIZES[name])
        ]  # fmt: skip
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
        data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": f"{name}.jsonl"}}}
        _write(folder / f"{name}.yaml", {"task": name, "test_split": "test", **data, **values})
    for name, by_size in GROUPS.items():
        metrics = [{"metric": "acc", "aggregation": "mean", "weight_by_size": by_size}]
        _write(
            folder / f"{name}.yaml", {"group": name, "task": ["colours", "sums"], "aggregate_metric_list": metrics}
        )
    return folder


def _write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values))


@pytest.fixture
def measured(tiny_llama: Path, settings: Settings) -> Callable[..., tuple[Any, Any, Any]]:
    """Our score and samples of a task file, and what lm-eval's own backend finds."""

    def measure(path: Path, scorer: str, **changes: Any) -> tuple[Any, Any, Any]:
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM

        found = task_manager([str(path)], settings)
        asked = {name: value for name, value in changes.items() if name != "chat_template"}
        theirs = simple_evaluate(
            HFLM(
                pretrained=str(tiny_llama), batch_size=1, device="cpu", dtype="float32", softmax_dtype="float32",
                max_length=64,
            ),
            tasks=[path.stem], task_manager=found.manager, bootstrap_iters=10, fewshot_random_seed=0,
            apply_chat_template=changes.get("chat_template", False), **asked,
        )  # fmt: skip
        model, tokenizer = load(LocalModel(tiny_llama, "tiny", "folder", "r"), "cpu", "float32", settings, False)
        options = Options(limit=None, batch_size=3, add_bos_token=None, seed=0, **changes)
        lm = language_model(scorer, model, tokenizer, options)
        lm._max_length = 64  # several windows for a long text
        task = TASKS[str(path)]
        request = TaskRequest(task.name, found.data[task.name], None, task.lm_eval_name)
        return *run_task(lm, request, found.manager, options), theirs

    return measure


@pytest.mark.parametrize("scorer", ["packed", "lm_eval"])
def test_the_perplexity_of_texts_is_that_of_lm_evals_own_windows(scorer: str, own: Path, measured: Any) -> None:
    score, samples, theirs = measured(own / "poems.yaml", scorer)
    expected = theirs["results"]["poems"]
    assert (score.metric, score.higher_is_better, score.averaged) == ("word_perplexity", False, False)
    assert score.value == pytest.approx(expected["word_perplexity,none"], rel=1e-4)
    assert score.others["bits_per_byte,none"] == pytest.approx(expected["bits_per_byte,none"], rel=1e-5)
    by_doc = {sample["doc_id"]: sample["resps"][0][0] for sample in theirs["samples"]["poems"]}
    assert {one.doc_id: one.loglikelihoods[0] for one in samples} == pytest.approx(by_doc, abs=1e-2)
    assert len(score.resamples) == 1000
    assert min(score.resamples) < score.value < max(score.resamples)
    assert average([score]) == (None, None)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_weighs_its_parts_as_lm_eval_does(group: str, own: Path, measured: Any) -> None:
    score, samples, theirs = measured(own / f"{group}.yaml", "packed")
    expected = theirs["results"][group]
    assert (score.value, score.stderr) == (expected["acc,none"], expected["acc_stderr,none"])
    assert (score.n, score.averaged, len(score.resamples)) == (10, GROUPS[group], 0 if GROUPS[group] else 1000)
    assert {one.task for one in samples} == {"colours", "sums"}


@pytest.mark.parametrize("scorer", ["packed", "lm_eval"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"chat_template": True, "system_instruction": "Be brief."}],
    ids=["plain", "chat"],
)
def test_options_are_rated_as_by_lm_eval(scorer: str, changes: Any, own: Path, measured: Any) -> None:
    score, samples, theirs = measured(own / "colours.yaml", scorer, **changes)
    expected = theirs["results"]["colours"]
    assert (score.metric, score.value, score.acc_norm) == ("acc", expected["acc,none"], expected["acc_norm,none"])
    theirs_by_doc = {sample["doc_id"]: sample for sample in theirs["samples"]["colours"]}
    for one in samples:
        responses = [response[0][0] for response in theirs_by_doc[one.doc_id]["resps"]]
        assert list(one.loglikelihoods) == pytest.approx(responses, abs=1e-3)
        assert one.prompt_hash == theirs_by_doc[one.doc_id]["prompt_hash"]


@pytest.mark.parametrize("changes", [{}, {"gen_kwargs": {"max_gen_toks": 3}}], ids=["own", "shorter"])
def test_answers_are_written_and_scored_as_by_lm_eval(changes: Any, own: Path, measured: Any) -> None:
    score, samples, theirs = measured(own / "translations.yaml", "packed", **changes)
    assert (score.metric, score.averaged) == ("chrf", False)
    assert score.value == theirs["results"]["translations"]["chrf,none"]
    answers = {sample["doc_id"]: sample["resps"][0][0] for sample in theirs["samples"]["translations"]}
    assert {one.doc_id: one.answer for one in samples} == answers
    assert len(score.resamples) == 100


def test_the_index_knows_every_name_with_its_file() -> None:
    index = lm_eval_index()
    assert {index[name].kind for name in ("mmlu", "leaderboard")} == {"group"}
    assert index["ai2_arc"].kind == "tag"
    assert index["ai2_arc"].members == ("arc_challenge", "arc_easy")
    assert index["wikitext"].output_type == "loglikelihood_rolling"
    assert index["arc_easy"].dataset == "allenai/ai2_arc:ARC-Easy"
    assert index["humaneval"].needs
    assert all((tasks_folder() / entry.path).is_file() for entry in list(index.values())[::500] if entry.path)


def test_the_kept_index_is_the_read_one(settings: Settings) -> None:
    read = lm_eval_index()
    _index.cache_clear()
    written = lm_eval_index()  # of this home: read anew and kept
    _index.cache_clear()
    assert lm_eval_index() == written == read
    assert [*(settings.home / "cache" / "lm_eval").iterdir()]


def test_tags_and_folders_stand_for_their_tasks(own: Path) -> None:
    assert Study(tasks=("piqa", "ai2_arc")).tasks == ("piqa", "arc_challenge", "arc_easy")
    names = [Path(path).stem for path in Study(tasks=(str(own),)).tasks]
    assert names == ["by_part", "by_size", "poems", "translations"]


def test_a_task_file_may_stand_beside_the_study_file(own: Path) -> None:
    (own.parent / "study.yaml").write_text("tasks: [./own/poems.yaml, wikitext]")
    assert load_study(own.parent / "study.yaml").tasks == (str(own / "poems.yaml"), "wikitext")


def test_a_stored_study_is_read_though_its_tasks_are_gone() -> None:
    values = Study().model_dump() | {"tasks": ["/gone/away.csv", "no_such_task"]}
    assert parse_study(values, stored=True).tasks == ("/gone/away.csv", "no_such_task")
    assert TASKS.title("/gone/away.csv") == "away"


@pytest.mark.parametrize(
    ("tasks", "says"),
    [
        (["arc_esay"], "unknown task 'arc_esay': did you mean 'arc_easy'"),
        (["./none.yaml"], r"none\.yaml: is not a task of lm-eval \(No such file"),
        (["./none.csv"], "cannot be read"),
        (["./none.txt"], "is none of"),
        (
            ["arc_easy"],
            r"the data of arc_easy \(allenai/ai2_arc, ARC-Easy\) is not on this machine.*at hand are lamb",
        ),
        (["humaneval"], "running code that the model writes"),
        (["mmmu_val"], "images or sound"),
        (["mmlu_stem", "mmlu_anatomy"], "mmlu_anatomy is part of both mmlu_stem and mmlu_anatomy"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(tasks: list[str], says: str, settings: Settings) -> None:
    with pytest.raises(InvalidStudy, match=says) as error:
        check_tasks(parse_study({"tasks": tasks}), settings)
    assert "\n" not in str(error.value)


def test_what_datasets_has_kept_is_at_hand(tmp_path: Path, settings: Settings, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    (tmp_path / "allenai___ai2_arc" / "ARC-Easy" / "0.0.0" / "abc").mkdir(parents=True)
    check_tasks(Study(tasks=("arc_easy",)), settings)
    assert "arc_easy" in check.at_hand()
    assert "arc_challenge" not in check.at_hand()


@pytest.mark.parametrize("part", ["mmlu_stem", "mmlu_anatomy"])
def test_parts_of_a_built_in_task_use_the_bundle(part: str, settings: Settings) -> None:
    check_tasks(Study(tasks=(part,)), settings)


def test_perplexities_and_thinking_are_refused_where_they_make_no_sense(own: Path, settings: Settings) -> None:
    thinking = {"chat_template": True, "enable_thinking": True, "think_end_token": "</think>"}
    with pytest.raises(InvalidStudy, match="piqa scores given answers"):
        check_tasks(Study(tasks=("piqa",), **thinking), settings)  # type: ignore[arg-type]
    check_tasks(Study(tasks=(str(own / "translations.yaml"),), **thinking), settings)  # type: ignore[arg-type]
    with pytest.raises(InvalidStudy, match="num_fewshot must be 0"):
        check_tasks(Study(tasks=(str(own / "poems.yaml"),), num_fewshot=2), settings)
    with pytest.raises(InvalidStudy, match="enable_thinking needs chat_template"):
        parse_study({"enable_thinking": True})


@pytest.mark.parametrize("line", ["process_docs: !function utils.shorten", "class: !function utils.Task"])
def test_code_of_a_task_file_runs_only_where_it_is_trusted(line: str, own: Path, settings: Settings) -> None:
    (own / "utils.py").write_text("def shorten(docs):\n    return docs.select(range(2))\n")
    path = own / "coded.yaml"
    path.write_text(f"include: sums.yaml\ntask: coded\n{line}\n")
    study = Study(tasks=(str(path),))
    with pytest.raises(InvalidStudy, match=r"coded\.yaml: runs Python code .*--trust-remote-code"):
        check_tasks(study, settings)
    check_tasks(study, settings.model_copy(update={"trust_remote_code": True}))


def test_templates_of_a_task_file_run_no_code(own: Path, settings: Settings) -> None:
    from jinja2.exceptions import SecurityError

    values = json.loads((own / "sums.yaml").read_text())
    _write(own / "sums.yaml", values | {"doc_to_text": "{{ question.__class__.__mro__[-1].__subclasses__() }}"})
    with pytest.raises(SecurityError):
        task_manager([str(own / "sums.yaml")], settings).manager.load(["sums"])
