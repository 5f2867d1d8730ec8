"""A recipe holds one model at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qcompare.settings import Settings

BUILD = """
import sys, threading, time
from pathlib import Path
import psutil
import llmcompressor.modifiers.transform.awq, transformers  # what importing takes is no part of a model
from qcompare.recipes.lab import Lab
from qcompare.settings import Settings
from qcompare.study.spec import Study

study = Study(recipes=(sys.argv[1],))
lab = Lab(study, study.recipes[0], None, Settings(), "cpu", "float32", Path())
lab.fetch()
held = lambda: psutil.Process().memory_full_info().uss
before = held()
model, tokenizer = lab.load()
loaded, peak = held() - before, 0

def watch():
    global peak
    while True:
        peak = max(peak, held() - before)
        time.sleep(0.01)

threading.Thread(target=watch, daemon=True).start()
model, tokenizer = lab.recipe.build(lab, model, tokenizer, lab.recipe.choose(lab))
print(peak / loaded)
"""


@pytest.mark.demo
def test_a_recipe_that_writes_a_checkpoint_holds_no_second_model(demo_settings: Settings, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUILD, "rtn_fp8_dynamic"],
        cwd=tmp_path,
        env=os.environ | demo_settings.environment() | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) <= 1.25
