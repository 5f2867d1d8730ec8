"""A package of somebody else adds one of each kind through entry points, and a study runs with them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qcompare.store import Store

ROOT = Path(__file__).parents[1]

MODULE = '''
from pathlib import Path

from qcompare.recipes.base import Recipe
from qcompare.recipes.scores import LayerScorer
from qcompare.study.formats import Format, Scheme
from qcompare.study.task import Task


class Binary(Format):
    """Every weight becomes plus or minus its group's mean size."""

    name = "binary"
    title = "signs"
    exports = ()
    schemes = (Scheme("B1", name, 1, 32, 16, "One bit per weight."),)

    def definition(self, scheme):
        return {"version": 1}

    def weight_rounding(self, scheme):
        def rounded(x):
            groups = x.reshape(-1, scheme.group_size)
            return (groups.sign() * groups.abs().mean(-1, keepdim=True)).reshape(x.shape)

        return rounded


class Measured(Recipe):
    """Raises the first block whose raising alone brings the predictions nearest to the original's."""

    name = "measured"
    label = "Measured"
    text = "The block that helps most gets the high scheme."
    colour = "#123456"
    takes_budget = False
    reads_weights = True

    def choose(self, lab):
        low, high = lab.study.schemes
        divergences = {}
        for block in sorted({layer.block for layer in lab.facts.layers}):
            config = {x.name: high if x.block == block else low for x in lab.facts.layers}
            model, tokenizer = lab.load()
            model, tokenizer = lab.quantize(model, tokenizer, config)
            divergences[block] = lab.divergence(model).kl
        print("divergences", divergences, flush=True)
        best = min(divergences, key=divergences.get)
        return {x.name: high if x.block == best else low for x in lab.facts.layers}


class Depth(LayerScorer):
    """The first blocks matter most."""

    name = "depth"
    source = "none"

    def score(self, lab, share):
        return {"B1": {x.name: x.numel / (1 + x.block) for x in lab.facts.layers}}


BINARY = Binary()
DEPTH = Depth()
TASK = Task("doubles", "Doubles", "Double a number.", 4, 10, yaml=str(Path(__file__).with_name("doubles.yaml")))
'''
TASK = {
    "task": "doubles",
    "dataset_path": "json",
    "output_type": "multiple_choice",
    "test_split": "test",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "{{options}}",
    "doc_to_target": "{{answer}}",
    "metric_list": [{"metric": "acc"}],
    "metadata": {"version": 1.0},
}
DEPTH = {"recipe": "best", "scores": "depth", "effort": "scores"}
ENTRY_POINTS = """
[qcompare.formats]
binary = additions:BINARY
broken = additions:NOT_THERE
[qcompare.recipes]
measured = additions:Measured
[qcompare.scores]
depth = additions:DEPTH
[qcompare.tasks]
doubles = additions:TASK
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The folder of an installed package."""
    folder = tmp_path / "site"
    info = folder / "additions-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: additions\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "additions.py").write_text(MODULE)
    data = folder / "doubles.jsonl"
    questions = [{"question": f"{n} and {n}?", "options": [str(2 * n), str(n)], "answer": n % 2} for n in range(4)]
    data.write_text("".join(json.dumps(question) + "\n" for question in questions))
    dataset = {"data_files": {"test": str(data)}, "cache_dir": str(tmp_path / "cache")}
    (folder / "doubles.yaml").write_text(json.dumps(TASK | {"dataset_kwargs": dataset}))
    return folder


def test_a_study_runs_with_what_a_package_added(site: Path, tiny_llama: Path, tmp_path: Path, home: Path) -> None:
    sentence = "The capital of France is Paris, and it is famous for the Eiffel Tower. "
    text = tmp_path / "text.jsonl"
    text.write_text("\n".join(json.dumps({"text": f"{n}. " + sentence * 12}) for n in range(6)))
    study = {
        "model": str(tiny_llama),
        "schemes": ["B1", "BF16"],
        "recipes": ["bf16", "uniform", {"recipe": "measured", "title": "By measuring"}, DEPTH],
        "tasks": ["doubles"],
        "limit": 3,
        "prompts": [],
        "divergence": None,
        "calibration": {"dataset": str(text), "num_samples": 2, "max_seq_length": 32},
    }
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(study))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    command = [sys.executable, "-m", "qcompare", "run", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "format 'broken' cannot be loaded" in done.stderr
    assert "By measuring" in done.stdout
    store = Store(home)
    results = sorted((home / "studies").glob("*/*/result/result.json"))
    found = {path.parent.parent.name.partition(".")[2]: json.loads(path.read_text()) for path in results}
    assert set(found) == {"bf16", "uniform", "measured", "best-5"}
    assert found["best-5"]["choice"]["scorer"] == "depth"
    assert {scheme for name, scheme in found["best-5"]["layer_config"].items() if ".0." in name} == {"BF16"}
    assert {scheme for scheme in found["measured"]["layer_config"].values()} == {"B1", "BF16"}
    assert found["measured"]["title"] == "By measuring"
    assert all(result["tasks"][0]["n"] == 3 for result in found.values())
    assert store.newest()
