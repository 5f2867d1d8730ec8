"""The command line: exit codes, one line for what is wrong, and the main job on the demo bundle."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qcompare.cli import main
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.spec import Study
from tests.synthetic import finished_study

ROOT = Path(__file__).parents[1]


def qcompare(*words: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would, in the test's home."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "qcompare", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=timeout)


def study_file(folder: Path, text: str) -> str:
    path = folder / "study.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: demos", "did you mean 'demo'"),
        ("model: /no/such/folder", "no such folder"),
        ("model: org/name", "offline"),
        ("avg_bits: 9", "choose from 4 to 8"),
        ("schemes: [MXFP4, MXFP9]", "did you mean 'MXFP"),
        ("limit: -1", "limit"),
        ("{", "not valid YAML"),
    ],
)
def test_an_invalid_study_ends_with_two_and_one_line(text: str, says: str, tmp_path: Path, home: Path) -> None:
    done = qcompare("run", study_file(tmp_path, text))
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert says.lower() in done.stderr.lower()
    assert Store(home).studies() == []


@pytest.mark.parametrize(
    "words",
    [
        *[("show", "nothing"), ("status", "x"), ("logs", "x"), ("--dtype", "int3", "list"), ("import", "/no/such")],
        *[("--home", "/proc/nowhere", "list"), ("priority", "x", "99999999999999999999"), ("rename", "x", "")],
        *[("logs", "x.mixed"), ("plan",), ("shwo", "x"), ("list", "--stats", "x"), ("list", "x")],
        *[("priority", "x", "high"), ("list", "--status", "done")],
    ],
)
def test_what_does_not_exist_ends_with_two_and_one_line(words: tuple[str, ...]) -> None:
    done = qcompare(*words)
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1)


def test_several_studies_are_shown_side_by_side(home: Path) -> None:
    older, newer = (finished_study(home, Study(recipes=recipes)) for recipes in (("bf16", "mixed"), ("tail",)))
    shown = qcompare("show", older.id, newer.id, "--format", "csv").stdout
    assert ",mixed," in shown and ",tail," in shown


def test_a_failed_study_ends_with_one_and_keeps_what_succeeded(tiny_llama: Path, tmp_path: Path, home: Path) -> None:
    """The calibration text is checked by the job that needs it: only the mixed recipe fails."""
    text = f"model: {tiny_llama}\ntasks: []\nprompts: [Hello]\nmax_new_tokens: 4\nrecipes: [bf16, mixed]\n"
    text += "divergence: null\ncalibration: {dataset: /no/such/text.jsonl}\n"
    done = qcompare("run", study_file(tmp_path, text))
    assert done.returncode == 1, done.stderr
    assert "cannot be read" in done.stdout
    assert [result.recipe for result in Store(home).results(Store(home).studies()[0].id)] == ["bf16"]


@pytest.mark.demo
def test_the_main_job_runs_on_the_demo_bundle(demo_settings: Settings, tmp_path: Path, home: Path) -> None:
    text = """
    recipes: [bf16, uniform, head, tail, mixed]
    tasks: [piqa, lambada_openai]
    limit: 2
    prompts: ["What is the capital of France?"]
    max_new_tokens: 8
    calibration: {num_samples: 2, max_seq_length: 32}
    divergence: {num_samples: 2, max_seq_length: 64}
    """
    path = study_file(tmp_path, text)
    assert "after scoring" in qcompare("plan", path).stdout
    done = qcompare("run", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BF16" in done.stdout
    study_id = Store(home).studies()[0].id
    shown = json.loads(qcompare("show", study_id, "--format", "json").stdout)
    assert [row["recipe"] for row in shown["rows"]] == ["bf16", "uniform", "head", "tail", "mixed"]
    for row in shown["rows"][2:]:
        assert 4.98 <= row["bits"]["achieved"] <= 5.0
    assert {task["data"] for row in shown["rows"] for task in row["tasks"]} == {"demo bundle"}
    assert {row["scorer"] for row in shown["rows"]} == {"packed"}
    assert "Paris" in Store(home).results(study_id)[0].generations[0].text
    assert qcompare("show", study_id, "--format", "md").stdout.count("|") > 30
    assert study_id in qcompare("list").stdout
    assert "== answering prompts" in qcompare("logs", study_id).stdout


@pytest.mark.parametrize("platform", ["win32", "linux"])
def test_a_pipe_on_windows_is_given_utf8(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own encoding has no arrows and no Chinese."""
    pipe = io.BytesIO()
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe, encoding="cp1252", newline="\r\n"))
    main._write_utf8()
    if platform == "win32":
        print("→ 中文")
        sys.stdout.flush()
        assert pipe.getvalue() == "→ 中文\n".encode()
    else:
        assert sys.stdout.encoding == "cp1252"


def test_doctor_checks_what_runs_jobs(home: Path) -> None:
    done = qcompare("--device", "cpu", "doctor", "--executor", "local")
    assert (done.returncode, done.stdout.split()) == (0, ["ok", "devices", "cpu"]), done.stderr
    done = qcompare("doctor", "--executor", "nowhere")
    assert done.returncode == 2
    assert "unknown executor 'nowhere'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
