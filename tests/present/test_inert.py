"""What strangers wrote stays text: in spreadsheets, terminals, Markdown, and without tokens."""

import csv
import io
from pathlib import Path

import pytest

from qcompare.cli.terminal import inert, logs
from qcompare.compare.table import read_comparison
from qcompare.export.model_card import _inert
from qcompare.jobs.failures import explain
from qcompare.present.markup import plain_cell
from qcompare.present.render import render
from qcompare.store import Store
from qcompare.store.logs import find_lines, in_pieces, read_since
from qcompare.study.spec import Study
from tests.synthetic import fail_job, finished_study

TOKEN = "hf_" + "aB3" * 11


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_cells_are_no_formulas(text: str) -> None:
    assert plain_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["a=b", "", 0.5, -0.5, None, 7])
def test_other_cells_stay(value: object) -> None:
    assert plain_cell(value) == value


def test_csv_of_a_study_with_a_hostile_error(home: Path) -> None:
    study, store = finished_study(home, Study(recipes=("bf16", "uniform"))), Store(home)
    store.queue_again([store.jobs(study.id)[1].id])
    fail_job(store, store.jobs(study.id)[1].id, '=HYPERLINK("http://evil", "ok")')
    lines = list(csv.DictReader(io.StringIO(render(read_comparison(store, (study.id,)), "csv"))))
    assert all(not cell.startswith(("=", "@")) for line in lines for cell in line.values() if cell)
    assert any(line["error"].startswith("'=HYPERLINK") for line in lines)


def test_a_terminal_shows_commands_and_does_not_obey(home: Path) -> None:
    assert inert("\x1b]0;owned\x07\x1b[2J a\tb\n\x9b2J") == "␛]0;owned␇␛[2J a\tb\n␡2J"
    study, store = finished_study(home, Study(recipes=("bf16",), tasks=("piqa",))), Store(home)
    job = store.jobs(study.id)[0]
    store.folder(job.id).log.write_text(f"\x1b[2Jhidden {TOKEN}\n")
    text = "".join(logs(store, [job], follow=False))
    assert "\x1b" not in text and "␛[2Jhidden" in text and TOKEN not in text


def test_model_cards_hold_no_markup() -> None:
    shown = _inert("<script>alert(1)</script>\n# Title [x](javascript:1) | `a`")
    assert not set("<>[]()|`\n") & set(shown)


def test_tokens_are_masked_wherever_a_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(f"begin\nlogin with {TOKEN} at https://bob:hunter22@host/\nend")
    whole = b"".join(in_pieces(log, log.stat().st_size)).decode()
    shown = [read_since(log, 0).lines, *find_lines(log, "login").lines, whole]
    for text in shown:
        assert "login with hf_***" in text and TOKEN not in text and "hunter22" not in text
    assert len(whole) == log.stat().st_size and whole.endswith("\nend")
    assert TOKEN not in str(explain(RuntimeError(f"401 for token {TOKEN}")).message)
