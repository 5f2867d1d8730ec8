"""Numerical noise in words, charts and tables."""

import csv
import io
import json
from pathlib import Path

import pytest

from qcompare.compare.noise import half_width
from qcompare.compare.table import Comparison, read_comparison
from qcompare.present.answer import answer
from qcompare.present.caveats import caveats
from qcompare.present.plots import accuracy_against_bits, accuracy_bars, describe_accuracy, divergence_against_bits
from qcompare.present.render import render
from qcompare.store import Store
from qcompare.study.noise import NoiseFloor
from tests.synthetic import finished_study


def with_noise(home: Path, changed: int) -> Comparison:
    study = finished_study(home)
    found = read_comparison(Store(home), (study.id,))
    noise = NoiseFloor(
        dtype="float32", other_dtype="bfloat16", questions=48, changed=changed, lost=changed // 2,
        gained=changed // 2, kl=0.9, kl_stderr=0.1, kl_shift=-0.2, tokens=1020,
    )  # fmt: skip
    return found.model_copy(update={"rows": tuple(row.model_copy(update={"noise": noise}) for row in found.rows)})


def test_the_caveats_say_what_another_dtype_changes(home: Path) -> None:
    found = with_noise(home, 12)
    half = half_width(found.rows[0])
    assert half
    (line,) = [note for note in caveats(found) if note.startswith("Numerical noise")]
    assert line.startswith(
        "Numerical noise: computed in bfloat16 instead of float32, the same weights give other answers: "
        f"BF16 12 of 48, so ±{100 * half:.1f} points of its average, KL 0.900; Uniform"
    )
    assert line in render(found, "table")


def test_of_many_rows_the_caveat_names_the_least_and_the_most_changed(home: Path) -> None:
    found = with_noise(home, 12)
    noises = [row.noise.model_copy(update={"changed": 2 * n}) for n, row in enumerate(found.rows) if row.noise]
    rows = [row.model_copy(update={"noise": noise}) for row, noise in zip(found.rows, noises, strict=True)]
    many = found.model_copy(update={"rows": (*rows[::-1], *rows[1:-1])})
    (line,) = [note for note in caveats(many) if note.startswith("Numerical noise")]
    assert "BF16 0 of 48" in line and f"{rows[-1].title} {2 * len(rows) - 2} of 48" in line
    assert line.count(" of 48") == 2 and f"; the {2 * len(rows) - 4} others in between." in line


def test_differences_inside_it_are_called_numerical(home: Path) -> None:
    loud, quiet = with_noise(home, 12), with_noise(home, 0)
    (line,) = [note for note in caveats(loud) if note.startswith("Differences from BF16 inside it")]
    assert line.endswith("so numerical and not damage: Mixed.")
    assert not any("not damage" in note for note in caveats(quiet))
    assert not any("numerical" in line for line in answer(quiet).plain.details)


def test_charts_carry_a_band_where_noise_was_measured(home: Path) -> None:
    found, plain = with_noise(home, 12), read_comparison(Store(home), (Store(home).studies()[0].id,))
    for draw in (accuracy_bars, accuracy_against_bits, divergence_against_bits):
        (band,) = [trace for trace in draw(found).data if trace.name == "numerical noise"]
        assert not any(trace.name == "numerical noise" for trace in draw(plain).data)
        bar = band.error_x if draw is accuracy_bars else band.error_y
        wanted = 0.2 if draw is divergence_against_bits else half_width(found.rows[1])
        assert bar.array[-1] == pytest.approx(wanted)
    (floor,) = [shape for shape in divergence_against_bits(found).layout.shapes if shape.type == "rect"]
    assert (floor.y0, floor.y1) == (0, 0.9)
    assert "(numerical noise ±" in describe_accuracy(found)
    assert "numerical" not in describe_accuracy(plain)


def test_csv_and_json_have_it(home: Path) -> None:
    found = with_noise(home, 12)
    lines = [line for line in csv.DictReader(io.StringIO(render(found, "csv"))) if line["task"] == "average"]
    assert {(line["noise_dtype"], line["noise_questions"], line["noise_changed"]) for line in lines} == {
        ("bfloat16", "48", "12")
    }
    assert float(lines[0]["noise_half_width"]) == pytest.approx(half_width(found.rows[0]))
    assert (lines[0]["noise_kl"], lines[0]["noise_kl_shift"]) == ("0.9", "-0.2")
    assert json.loads(render(found, "json"))["rows"][0]["noise"]["changed"] == 12
