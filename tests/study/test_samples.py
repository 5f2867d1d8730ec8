"""The per-question table is written and read in one place, also tables that an older version wrote."""

import io
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from qcompare.errors import QCompareError
from qcompare.study.samples import read_samples, read_scores, write_samples
from tests.synthetic import sample

RECORDING = Path(__file__).parents[1] / "store" / "version_0_1.qcompare.zip"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "samples.parquet"
    options = sample(doc_id=3, acc_norm=0.0)
    written = sample(
        study_task="gsm8k", task="gsm8k", options=(), loglikelihoods=(), is_greedy=(), answer="It is 2.", flexible=1.0
    )
    write_samples(file, [options, written])
    assert read_samples(file).get(options.key) == options
    assert read_samples(file, "gsm8k").get(written.key) == written
    assert read_samples(file, "gsm8k").get(options.key) is None
    assert list(read_scores(file).acc) == [1.0, 1.0]


def test_a_study_without_tasks_has_an_empty_table(tmp_path: Path) -> None:
    file = tmp_path / "samples.parquet"
    write_samples(file, [])
    assert len(read_samples(file).index) == 0


def test_tables_of_version_0_1_are_read(tmp_path: Path) -> None:
    file = tmp_path / "samples.parquet"
    with zipfile.ZipFile(RECORDING) as recording:
        name = next(name for name in recording.namelist() if name.endswith("samples.parquet"))
        file.write_bytes(recording.read(name))
    plain = pd.read_parquet(file)
    samples = read_samples(file)
    assert len(samples.index) == len(plain)
    for row in plain.head(3).itertuples():
        found = samples.get((str(row.task), int(str(row.doc_id))))
        assert found is not None and found.answer is None
        assert (found.question, found.options, found.acc) == (row.question, tuple(row.options), row.acc)  # type: ignore[arg-type]


def test_new_tables_have_the_columns_and_types_of_old_ones(tmp_path: Path) -> None:
    file = tmp_path / "samples.parquet"
    write_samples(file, [sample()])
    with zipfile.ZipFile(RECORDING) as recording:
        name = next(name for name in recording.namelist() if name.endswith("samples.parquet"))
        older = pq.read_schema(io.BytesIO(recording.read(name)))
    newer = pq.read_schema(file)
    assert {field.name: field.type for field in older}.items() <= {field.name: field.type for field in newer}.items()


@pytest.mark.parametrize("content", [None, b"", b"PAR1 not really"])
def test_an_unreadable_table_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "the-job" / "result" / "samples.parquet"
    file.parent.mkdir(parents=True)
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(QCompareError, match="the answers of the-job cannot be read"):
        read_samples(file)
