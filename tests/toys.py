"""A toy of each kind of addition, in an installed package of its own with entry points."""

import json
from pathlib import Path

TOY_QUESTIONS = [{"question": f"{n} and {n}?", "options": [str(2 * n), str(n)], "answer": n % 2} for n in range(4)]
TOY_YAML = {
    "task": "toy",
    "dataset_path": "json",
    "output_type": "multiple_choice",
    "test_split": "test",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "{{options}}",
    "doc_to_target": "{{answer}}",
    "metric_list": [{"metric": "acc"}],
    "metadata": {"version": 1.0},
}
TOY_WRITTEN_YAML = {
    "task": "toy_written",
    "dataset_path": "json",
    "output_type": "generate_until",
    "test_split": "test",
    "doc_to_text": "{{question}}",
    "doc_to_target": "{{options[answer]}}",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 4, "do_sample": False},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 1.0},
}
TOY_MODULE = """
from pathlib import Path
from qcompare.study.task import Task
TOY = Task("toy", "Toy", "Double a number.", 4, 10, yaml=str(Path(__file__).with_name("toy.yaml")))
WRITTEN = Task("toy_written", "Toy, written", "Double a number.", 4, 10, generates=True,
               yaml=str(Path(__file__).with_name("toy_written.yaml")))
"""


def install_toy_task(site: Path) -> None:
    """Make a package with a task, its lm-eval YAML and its data, in a folder that is to be put on the path."""
    info = site / "toytask-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toytask\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[qcompare.tasks]\ntoy = toytask:TOY\ntoy_written = toytask:WRITTEN\n")
    (site / "toytask.py").write_text(TOY_MODULE)
    data = site / "toy.json"
    data.write_text("".join(json.dumps(question) + "\n" for question in TOY_QUESTIONS))
    dataset = {"data_files": {"test": str(data)}, "cache_dir": str(site / "cache")}
    for yaml in (TOY_YAML, TOY_WRITTEN_YAML):
        (site / f"{yaml['task']}.yaml").write_text(json.dumps(yaml | {"dataset_kwargs": dataset}))
