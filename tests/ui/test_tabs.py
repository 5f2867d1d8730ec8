"""A tab of somebody else's package."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOY = """
import gradio as gr
from qcompare.ui.parts import Panel
from qcompare.ui.tabs import Tab

def build(context):
    count = gr.Markdown()
    return [Panel("toy", [count], lambda state: state.study_ids, lambda state: [f"{len(state.study_ids)} studies"])]

TAB = Tab("A toy", build)
"""
LOOK = """
import json
import gradio as gr
from qcompare.settings import Settings
from qcompare.ui.app import build_app
config = build_app(Settings()).config
(count,) = (each["id"] for each in config["components"] if each["type"] == "markdown")
print(json.dumps({
    "tabs": [
        (each["props"]["id"], each["props"]["label"])
        for each in config["components"]
        if each["type"] == "tabitem"
    ],
    "follows": any(count in event["outputs"] for event in config["dependencies"]),
}))
"""


def test_a_tab_is_added_by_an_entry_point_and_follows_the_store(home: Path, tmp_path: Path) -> None:
    package = tmp_path / "packages"
    (package / "toy-1.0.dist-info").mkdir(parents=True)
    (package / "toy.py").write_text(TOY)
    (package / "toy-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (package / "toy-1.0.dist-info" / "entry_points.txt").write_text("[qcompare.tabs]\ntoy = toy:TAB\n")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{package}", "QCOMPARE_HOME": str(home)}
    found = json.loads(subprocess.check_output([sys.executable, "-c", LOOK], env=environment, text=True))
    names = ["new", "progress", "results", "generations", "explorer", "history", "toy"]
    assert [name for name, _ in found["tabs"]] == names
    assert (found["tabs"][-1][1], found["follows"]) == ("A toy", True)
